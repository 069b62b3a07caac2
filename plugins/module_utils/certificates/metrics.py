# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates as a node-exporter textfile. Moments, not rests: a file that nobody writes any more then shows it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.certificates import certificate as x
from ansible_collections.slipway.ops.plugins.module_utils.certificates.certificate import CertificateError
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.host import textfile
from ansible_collections.slipway.ops.plugins.module_utils.host.textfile import Sample, family

FILE = "slipway_certificate.prom"


def exposition(standing: Sequence[tuple[str, str, str]], failed: set[str], now: datetime.datetime) -> str:
    """``standing`` has name, source and PEM of each; ``failed`` the names of those that could not be renewed."""
    ends: list[Sample] = []
    lives: list[Sample] = []
    failures: list[Sample] = []
    for name, source, leaf in standing:
        labels = {"certificate": name, "source": source}
        failures.append((labels, int(name in failed)))
        try:
            parsed = x.parse(leaf)
        except CertificateError:
            continue
        ends.append((labels, round(x.not_after(parsed).timestamp())))
        lives.append((labels, round(x.lifetime(parsed) * 86400)))
    told: dict[str, tuple[str, list[Sample]]] = {
        "not_after_timestamp_seconds": ("End of the installed certificate, Unix time.", ends),
        "lifetime_seconds": ("From its first to its last moment.", lives),
        "renewal_failed": ("Whether the last run could not renew it or not have it taken up.", failures),
        "run_timestamp_seconds": ("When the timer last looked, Unix time.", [({}, round(now.timestamp()))]),
    }
    return "".join(family(f"slipway_certificate_{name}", "gauge", *one) for name, one in told.items())


def publish(
    standing: Sequence[tuple[str, str, str]], results: Sequence[Result], now: datetime.datetime, directory: str
) -> None:
    """Writes the textfile when its directory is there."""
    if directory:
        failed = {result.subject.partition(" on ")[0] for result in results if result.verdict != "pass"}
        textfile.publish(Path(directory), FILE, [exposition(standing, failed, now)])
