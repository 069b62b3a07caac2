# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lynis: the hardening index of a host, and its warnings."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import Finding, ScanError


@dataclass(frozen=True)
class Audited:
    index: int
    version: str
    findings: list[Finding]


def argv(output: str) -> list[str]:
    log = output.removesuffix(".dat") + ".log"
    return ["lynis", "audit", "system", "--quick", "--no-colors", "--quiet", "--report-file", output, "--logfile", log]


def read(text: str) -> Audited:
    """Of its report file, lines of name=value. Its exit status is no verdict."""
    values: dict[str, str] = {}
    findings = []
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        if name == "warning[]":
            test, _, rest = value.partition("|")
            findings.append(Finding(test, rest.partition("|")[0]))
        elif sign:
            values[name] = value
    if "hardening_index" not in values or not values["hardening_index"].isdigit():
        raise ScanError("Lynis came to no hardening index; its log says why")
    return Audited(int(values["hardening_index"]), values.get("lynis_version", ""), findings)
