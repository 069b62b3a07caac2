# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates as a node-exporter textfile. Moments, not rests: a file that nobody writes any more then shows it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.certificates import certificate as x
from ansible_collections.slipway.ops.plugins.module_utils.certificates.certificate import CertificateError
from ansible_collections.slipway.ops.plugins.module_utils.certificates.store import replace
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result

FILE = "slipway_certificate.prom"


def exposition(standing: Sequence[tuple[str, str, str]], failed: set[str], now: datetime.datetime) -> str:
    """``standing`` has name, source and PEM of each; ``failed`` the names of those that could not be renewed."""
    ends, lives, failures = [], [], []
    for name, source, leaf in standing:
        labels = f'{{certificate="{name}",source="{source}"}}'
        failures.append(f"slipway_certificate_renewal_failed{labels} {int(name in failed)}")
        try:
            parsed = x.parse(leaf)
        except CertificateError:
            continue
        end = x.not_after(parsed).timestamp()
        ends.append(f"slipway_certificate_not_after_timestamp_seconds{labels} {end:.0f}")
        lives.append(f"slipway_certificate_lifetime_seconds{labels} {x.lifetime(parsed) * 86400:.0f}")
    lines = [
        *_family("not_after_timestamp_seconds", "End of the installed certificate, Unix time.", ends),
        *_family("lifetime_seconds", "From its first to its last moment.", lives),
        *_family("renewal_failed", "Whether the last run could not renew it or not have it taken up.", failures),
        *_family(
            "run_timestamp_seconds",
            "When the timer last looked, Unix time.",
            [f"slipway_certificate_run_timestamp_seconds {now.timestamp():.0f}"],
        ),
    ]
    return "\n".join(lines) + "\n"


def _family(name: str, explanation: str, samples: list[str]) -> list[str]:
    full = f"slipway_certificate_{name}"
    return [f"# HELP {full} {explanation}", f"# TYPE {full} gauge", *samples] if samples else []


def publish(
    standing: Sequence[tuple[str, str, str]], results: Sequence[Result], now: datetime.datetime, directory: str
) -> None:
    """Writes the textfile when its directory is there."""
    if directory and Path(directory).is_dir():
        failed = {result.subject.partition(" on ")[0] for result in results if result.verdict != "pass"}
        replace(Path(directory, FILE), exposition(standing, failed, now), 0o644)
