# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""sslyze: whether a TLS endpoint is as Mozilla's intermediate configuration has it, and who trusts its certificate."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import Finding, ScanError

PREFIX = "sslyze."  # testssl.sh has findings of the same endpoint
_ISSUE = re.compile(r"^\s+\* ([a-z0-9_]+): (.+)$", re.MULTILINE)
_SET = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Compared:
    version: str
    issues: list[Finding]
    distrust: str  # why nobody trusts the certificate; empty where somebody does


def argv(name: str, address: str, port: int, authority: str, output: str) -> list[str]:
    """Not quiet, for the verdict of the comparison is printed and stands in no file."""
    trusted = ["--certinfo_ca_file", authority] if authority else []
    return ["sslyze", "--mozilla_config", "intermediate", *trusted, "--json_out", output, f"{name}:{port}{{{address}}}"]


def read(text: str, printed: str) -> Compared:
    """Its exit status is no verdict: where nobody answered it is 0."""
    try:
        told = json.loads(text)
        (server,) = told["server_scan_results"]
        if server["scan_status"] != "COMPLETED":
            raise ScanError(f"sslyze could not look at the endpoint: {_why(server)}")
        distrust = _distrust(server["scan_result"]["certificate_info"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ScanError("sslyze left no JSON that can be read") from error
    issues = [Finding(PREFIX + key, _sorted(why)) for key, why in _ISSUE.findall(printed)]
    if not issues and ": OK - Compliant." not in printed:
        raise ScanError("sslyze did not say whether the endpoint is compliant; it needs version 6 or later")
    return Compared(str(told.get("sslyze_version", "")), issues, distrust)


def _why(server: dict[str, Any]) -> str:
    lines = (server["connectivity_error_trace"] or "it says nothing").strip().splitlines()
    return str(lines[-1])


def _distrust(asked: dict[str, Any]) -> str:
    """Why a certificate of the server is in no chain to an authority, the operator's or a public one."""
    if asked["status"] != "COMPLETED":
        raise ScanError(f"sslyze could not look at the certificate: {asked['error_reason']}")
    for deployment in asked["result"]["certificate_deployments"]:
        ways = deployment["path_validation_results"]
        if not any(way["was_validation_successful"] for way in ways):
            ours = [way for way in ways if way["trust_store"]["name"] == "Supplied CA file"]
            return str((ours or ways)[0]["validation_error"])
    return ""


def _sorted(text: str) -> str:
    """The sets in a sentence in an order that stays."""
    return _SET.sub(lambda found: ", ".join(sorted(found[1].replace("'", "").split(", "))), text)
