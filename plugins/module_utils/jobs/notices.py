# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who is told of a job's end: by a webhook that takes ``{"text": …}``, as Slack and many others do, or by mail."""

from __future__ import annotations

import json
import smtplib
import urllib.request
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import JobsError

TIMEOUT = 20.0  # seconds
FIELDS = {"webhook": {"url"}, "mail": {"server", "sender", "to"}}


def read_notices(entries: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By name; raises :class:`JobsError` with all that is wrong, and never shows a URL, which may hold a secret."""
    problems = []
    found = {}
    for name, entry in entries.items():
        given = dict(entry) if isinstance(entry, Mapping) else {}
        kind = given.get("type")
        if kind not in FIELDS:
            problems.append(f"notice {name}: its type is one of {', '.join(FIELDS)}.")
        elif missing := sorted(FIELDS[kind] - {field for field, value in given.items() if value}):
            problems.append(f"notice {name}: {', '.join(missing)} is missing.")
        elif unknown := sorted(given.keys() - FIELDS[kind] - {"type", "port"}):
            problems.append(f"notice {name}: {', '.join(unknown)} is nothing that {kind} has.")
        elif kind == "webhook" and not str(given["url"]).startswith(("https://", "http://")):
            problems.append(f"notice {name}: its url begins with https://.")
        else:
            found[str(name)] = {"port": 25, **given} if kind == "mail" else given
    if problems:
        raise JobsError(problems)
    return found


def tell(notice: Mapping[str, Any], subject: str, text: str) -> None:
    """Raises :class:`OSError` when it did not arrive."""
    if notice["type"] == "webhook":
        body = json.dumps({"text": f"{subject}\n{text}".strip()}, ensure_ascii=False).encode()
        request = urllib.request.Request(notice["url"], body, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310 (looked at above)
            return
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, notice["sender"], ", ".join(notice["to"])
    message.set_content(text)
    with smtplib.SMTP(notice["server"], int(notice["port"]), timeout=TIMEOUT) as server:
        server.send_message(message)
