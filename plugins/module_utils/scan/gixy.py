# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""gixy-ng: what is wrong with a whole configuration of nginx, as ``nginx -T`` writes it."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import Finding, ScanError

# It warns that nginx may not start with these groups where OpenSSL does not know them. nginx -T wrote the dump on the
# host itself, and it writes none of a configuration that nginx does not start with.
_DISPROVED = ("ssl_ecdh_curve",)


def argv(dump: str, output: str) -> list[str]:
    return ["gixy", "--skips", ",".join(_DISPROVED), "--format", "json", "--output", output, dump]


def without_excerpts(text: str) -> str:
    """The report without pieces of the configuration, which may have secrets; files and lines stay."""
    return json.dumps(
        [{name: value for name, value in one.items() if name not in ("config", "fixes")} for one in _entries(text)],
        indent=1,
    )


def read(text: str) -> list[Finding]:
    """Of its JSON. Its exit status is 1 where it found something, and where it failed."""
    try:
        return [
            Finding(one["plugin"], f"{one['severity'].lower()}, {_sentence(one)} ({one['file']}:{one['line']})")
            for one in _entries(text)
        ]
    except (TypeError, KeyError, AttributeError) as error:
        raise ScanError("gixy left no JSON that can be read") from error


def _entries(text: str) -> list[dict[str, Any]]:
    try:
        entries = json.loads(text)
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise ValueError
    except ValueError:
        raise ScanError("gixy left no JSON that can be read") from None  # its text may have a secret
    return entries


def _sentence(one: dict[str, str]) -> str:
    return ": ".join(filter(None, (one["summary"].rstrip(". "), one.get("reason", "").rstrip(". "))))
