# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Trivy and Grype: which vulnerabilities a container image has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import Finding, ScanError

SEVERITIES = ("critical", "high")


@dataclass(frozen=True)
class Looked:
    """What was found, by severity, each as often as a package has it, as the scanners count."""

    version: str
    findings: dict[str, list[Finding]]


def argv(tool: str, image: str, output: str) -> list[str]:
    """With root's home, where the data of vulnerabilities and the registry's credentials are looked for."""
    home = ["env", "HOME=/root"]
    if tool == "trivy":
        return [*home, "trivy", "image", "--quiet", "--scanners", "vuln", "--format", "json", "--output", output, image]
    return [*home, "grype", "--quiet", "--output", "json", "--file", output, image]


def read(tool: str, text: str) -> Looked:
    """Of its JSON. A report that names no image, or nothing that was looked at in it, says nothing."""
    try:
        report = json.loads(text)
        version, found = _FORMATS[tool](report)
        findings: dict[str, list[Finding]] = {severity: [] for severity in SEVERITIES}
        for severity, finding in found:
            findings.setdefault(severity.lower(), []).append(finding)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ScanError(f"{tool} left no JSON that tells what is in the image") from error
    return Looked(version, findings)


Found = Iterator[tuple[str, Finding]]


def _trivy(report: dict[str, Any]) -> tuple[str, Found]:
    results = report["ArtifactName"] and report["Results"]
    if not results:
        raise ScanError(
            "trivy knows nothing in the image that could be vulnerable: neither a distribution nor packages"
        )
    return str((report.get("Trivy") or {}).get("Version") or ""), (
        (
            one["Severity"],
            _finding(one["VulnerabilityID"], one["PkgName"], one["InstalledVersion"], one.get("FixedVersion")),
        )
        for result in results
        for one in result.get("Vulnerabilities") or []
    )


def _grype(report: dict[str, Any]) -> tuple[str, Found]:
    if report["descriptor"]["name"] != "grype" or not report["source"]:
        raise KeyError("source")
    return str(report["descriptor"].get("version") or ""), (
        (
            one["vulnerability"]["severity"],
            _finding(
                one["vulnerability"]["id"],
                one["artifact"]["name"],
                one["artifact"]["version"],
                ", ".join((one["vulnerability"].get("fix") or {}).get("versions") or []),
            ),
        )
        for one in report["matches"]
    )


def _finding(id: str, package: str, installed: str, fixed: str | None) -> Finding:
    return Finding(id, f"in {package} {installed}, {f'fixed in {fixed}' if fixed else 'without a fix yet'}")


_FORMATS: dict[str, Callable[[dict[str, Any]], tuple[str, Found]]] = {"trivy": _trivy, "grype": _grype}
