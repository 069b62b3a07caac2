# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Results as JUnit XML, which CI systems read: a suite for each host, a case for each result."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {"fail": "failure", "unknown": "error", "skip": "skipped", "warn": "system-out"}

Results = Sequence[Mapping[str, Any]]


def junit(by_host: Mapping[str, Results], name: str = "health") -> str:
    """The XML document: fail is ``failure``, unknown ``error``, skip ``skipped``; a warning passes and says why."""
    root = ET.Element("testsuites", _attributes(name, [result for results in by_host.values() for result in results]))
    for host, results in by_host.items():
        suite = ET.SubElement(root, "testsuite", _attributes(host, results))
        if results:
            suite.set("timestamp", min(result["at"] for result in results))
        for result in results:
            _case(suite, result)
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True).decode() + "\n"


def _attributes(name: str, results: Results) -> dict[str, str]:
    verdicts = [result["verdict"] for result in results]
    return {
        "name": _clean(name),
        "tests": str(len(verdicts)),
        "failures": str(verdicts.count("fail")),
        "errors": str(verdicts.count("unknown")),
        "skipped": str(verdicts.count("skip")),
        "time": _seconds(results),
    }


def _case(suite: ET.Element, result: Mapping[str, Any]) -> None:
    name = _clean(f"{result['subject']}: {result['claim']}")
    attributes = {"classname": _clean(result["id"]), "name": name, "time": _seconds([result])}
    case = ET.SubElement(suite, "testcase", attributes)
    if element := _ELEMENTS.get(result["verdict"]):
        reason = _clean(result.get("reason") or "")
        ET.SubElement(case, element).text = reason
        if element != "system-out":
            case[0].set("message", reason)


def _seconds(results: Results) -> str:
    return f"{sum(result.get('took') or 0 for result in results):.3f}"


def _clean(words: Any) -> str:
    """Without the characters that XML cannot hold."""
    return _FORBIDDEN.sub("\ufffd", str(words))
