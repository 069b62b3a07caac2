# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one attempt of a check found: a value beside what was wanted, and a reason when the two do not agree."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Verdict

# From the best to the worst; what could not be found out is worse than a warning and is never a pass.
SEVERITY: tuple[Verdict, ...] = ("pass", "skip", "warn", "unknown", "fail")

_TOLD = {
    errno.ECONNREFUSED: "the connection was refused: nothing listens there",
    errno.ECONNRESET: "the connection was reset",
    errno.EHOSTUNREACH: "there is no route to the host",
    errno.ENETUNREACH: "there is no route to the host",
}


class CheckFailed(Exception):
    """The check's answer is no; the message is the reason."""


class CheckUnknown(Exception):
    """The check could not find out; the message is the reason."""


@dataclass(frozen=True)
class Finding:
    """One condition of a check. ``measured`` is in ``unit``; ``limit`` is the bare comparison, as results keep it;
    ``timed`` says that this process stopped the time."""

    verdict: Verdict
    measured: float | int | str | None = None
    unit: str = "1"
    limit: str | None = None
    reason: str | None = None
    timed: bool = False


def worst(findings: Iterable[Finding]) -> Finding:
    """The finding that decides: the first of the worst verdict."""
    return max(findings, key=lambda finding: SEVERITY.index(finding.verdict))


def within(limit: Limit, value: float, unit: str, what: str, timed: bool = False) -> Finding:
    """Compares a value in ``unit`` with the limit and tells both in the limit's unit."""
    shown = limit.shown(value, unit)
    told_unit = limit.unit or unit
    kept = limit.satisfied(value, unit if limit.unit else "")
    said = f"{shown} {told_unit}" if told_unit not in ("", "1") else f"{shown}"
    reason = None if kept else f"{what} is {said}, wanted {limit}"
    return Finding("pass" if kept else "fail", shown, told_unit or "1", limit.bare, reason, timed)


def same(measured: str | int, wanted: Iterable[str | int], reason: str) -> Finding:
    """Compares a text or code with those that are wanted."""
    wanted = list(wanted)
    limit = f"= {wanted[0]}" if len(wanted) == 1 else None
    if measured in wanted:
        return Finding("pass", measured, limit=limit)
    return Finding("fail", measured, limit=limit, reason=reason)


def explain(error: BaseException, host: str = "the host") -> str:
    """What went wrong on the network, in an operator's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"the TLS handshake failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror):
        return f"the name {host} does not resolve: {error.strerror}"
    known = _TOLD.get(error.errno or 0) if isinstance(error, OSError) else None
    return known or str(error) or type(error).__name__
