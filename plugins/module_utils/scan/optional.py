# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Scans by what no role installs: gixy, sslyze, gitleaks, Trivy or Grype, and requests that attackers begin with."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.scan import gitleaks, gixy, images, probes, sslyze
from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import Finding, ScanError
from ansible_collections.slipway.ops.plugins.module_utils.scan.probes import Site
from ansible_collections.slipway.ops.plugins.module_utils.scan.scanner import (
    Program,
    Said,
    Scan,
    address_of,
    hand_to,
    named,
)

UNPRIVILEGED = "nobody"  # runs what is from no signed package and needs nothing of the host's


class OptionalScan(Scan):
    """As a scan, and more; ``programs`` says where the scanners are, and without it a name is looked for."""

    def __init__(self, *given: Any, programs: Mapping[str, str] | None = None) -> None:
        super().__init__(*given)
        self.programs = programs or {}

    def nginx(self, host: str, dump: str, problem: str = "") -> None:
        """What ``nginx -T`` wrote on a host; includes are followed within it, and nothing else is read."""
        subject = f"nginx on {host}"
        if problem:
            self._begin("gixy")
            self._judge(subject, ["gixy.findings"], ScanError(problem), lambda _: [])
            return
        with tempfile.TemporaryDirectory(prefix="scan-") as place:
            path = Path(place, "nginx.conf")
            path.write_text(dump, encoding="utf-8")
            hand_to(UNPRIVILEGED, Path(place), path)
            output = self._ask(
                "gixy",
                subject,
                lambda _, to: gixy.argv(str(path), to),
                user=UNPRIVILEGED,
                keep=gixy.without_excerpts,
            )
        self._judge(subject, ["gixy.findings"], output, lambda text: [self._counted(subject, gixy.read(text))])

    def compliance(self, name: str, host: str, port: int, authority: str, on: str = "") -> None:
        """An endpoint beside Mozilla's intermediate configuration, as sslyze compares them."""
        subject, trusted = f"{name}:{port} on {on or host}", authority if Path(authority).is_file() else ""
        output = self._ask(
            "sslyze", subject, lambda at, to: sslyze.argv(name, at, port, trusted, to), host, user=UNPRIVILEGED
        )

        def judge(text: str) -> list[Said]:
            compared = sslyze.read(text, self._printed)
            self._source = f"scan/sslyze {compared.version}".strip()
            distrust = [Finding(f"{sslyze.PREFIX}trust", compared.distrust)] if compared.distrust else []
            return [self._counted(subject, compared.issues), self._counted(subject, distrust)]

        self._judge(subject, ["sslyze.intermediate", "sslyze.certificate"], output, judge)

    def secrets(self, subject: str, directory: str) -> None:
        """Plain secrets in the files of a directory, on the host that this runs on."""
        place = Path(directory).resolve()
        output = self._ask("gitleaks", subject, lambda _, to: gitleaks.argv(str(place), to), keep=gitleaks.redacted)
        self._judge(
            subject, ["gitleaks.secrets"], output, lambda text: [self._counted(subject, gitleaks.read(text, place))]
        )

    def image(self, tool: str, reference: str, subject: str) -> None:
        """An image, looked at by Trivy or Grype; ``subject`` is whose it is: records of a version would go stale."""
        output = self._ask(tool, subject, lambda _, to: images.argv(tool, reference, to))

        def judge(text: str) -> list[Said]:
            looked = images.read(tool, text)
            self._source = f"{f'scan/{tool} {looked.version}'.strip()}, {reference}"
            return [self._held(subject, severity, looked.findings[severity]) for severity in images.SEVERITIES]

        self._judge(subject, [f"image.{severity}" for severity in images.SEVERITIES], output, judge)

    def _held(self, subject: str, severity: str, findings: list[Finding]) -> Said:
        counts, passed = self._weighed(subject, findings)
        limit = int(self.limits[severity])
        return named(counts, passed, len(counts), limit)

    def probe(self, name: str, host: str, port: int, on: str = "") -> None:
        """Requests that attackers begin with, to a site."""
        subject, kinds = f"{name}:{port} on {on or host}", ("hidden", "server", "trace", "headers")
        self._begin("probe")
        try:
            probed = probes.probe(Site(name, address_of(host), port, min(self.timeout, 10)))
        except ScanError as error:
            self._judge(subject, [f"probe.{kind}" for kind in kinds], error, lambda _: [])
            return
        self._keep("probe", subject, "json", probed.answers)
        for kind in kinds:
            self._result(f"probe.{kind}", subject, self._counted(subject, getattr(probed, kind)))

    def _ask(self, tool: str, subject: str, argv: Any, host: str = "", **how: Any) -> str | ScanError:
        return self._run(Program(tool, self.programs.get(tool, ""), **how), subject, "json", argv, host)
