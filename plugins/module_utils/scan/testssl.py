# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""testssl.sh: the grade of a TLS endpoint, its score, and what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import Finding, ScanError

_COUNTED = ("HIGH", "CRITICAL")
# All that grade, score and findings are made of: without the preference the score is 84 in place of 96. What is left
# out, simulated clients above all, is for reading.
_LOOKED_AT = ("--protocols", "--std", "--server-preference", "--fs", "--server-defaults", "--headers", "--vulnerable")


@dataclass(frozen=True)
class Graded:
    grade: str
    score: int
    findings: list[Finding]


def argv(name: str, address: str, port: int, authority: str, output: str) -> list[str]:
    trusted = ["--add-ca", authority] if authority else []
    options = ["--quiet", "--color", "0", "--warnings", "batch", "--connect-timeout", "10", "--openssl-timeout", "10"]
    return ["testssl", *_LOOKED_AT, *options, *trusted, "--ip", address, "--jsonfile", output, f"{name}:{port}"]


def read(text: str) -> Graded:
    """Of its JSON file. The exit status is no verdict: it counts findings, and is 0 or not for many reasons."""
    try:
        entries = {entry["id"]: entry for entry in reversed(json.loads(text))}
    except (ValueError, TypeError, KeyError) as error:
        raise ScanError("testssl left no JSON that can be read") from error
    if "overall_grade" not in entries or "final_score" not in entries:
        problem = next((one["finding"] for one in entries.values() if one["severity"] == "FATAL"), "")
        raise ScanError(f"testssl gave no grade{'; it says: ' + problem if problem else ''}")
    findings = [
        Finding(entry["id"].partition(" ")[0], f"{entry['severity'].lower()}, {entry['finding']}")
        for entry in reversed(entries.values())
        if entry["severity"] in _COUNTED and entry["id"] != "overall_grade"
    ]
    return Graded(entries["overall_grade"]["finding"], int(entries["final_score"]["finding"]), findings)
