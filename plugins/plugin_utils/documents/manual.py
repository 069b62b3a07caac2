# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The incident manual's entries, and what was asked of Slipway with where it is found."""

from __future__ import annotations

import re
from urllib.parse import quote

from ansible_collections.slipway.ops.plugins.plugin_utils.documents.inventory import table
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.model import (
    Block,
    Entry,
    Line,
    Span,
    joined,
    marked,
    plain,
)
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.system import Alert, System
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.texts import Texts, data

STATES = {"critical": "fail", "warning": "warn", "info": "pass"}
_LABEL = re.compile(r"{{\s*\$labels\.(\w+)\s*}}")
_VALUE = re.compile(r"{{\s*\$value[^}]*}}")


def alerts(system: System, texts: Texts, subject: str) -> list[Block]:
    return [_alert(system, texts, one) for one in system.alerts]


def _alert(system: System, texts: Texts, one: Alert) -> Entry:
    own = texts.alert(one.name)
    severity = texts["severities"][one.severity]
    lasting = texts("lasting", span=one.lasting) if one.lasting else texts["at_once"]
    ways = texts["ways_back"]
    return Entry(
        id=f"alert-{one.name}",
        title=one.name,
        state=STATES[one.severity],
        facts=[
            (texts.column("what"), plain(readable(own.get("summary") or one.summary))),
            (texts.column("severity"), plain(f"{severity['name']}: {severity['means']}")),
            (texts.column("threshold"), (Span(one.expression, code=True), Span(f" {lasting}"))),
            (texts.column("graph"), (Span(texts["graph"], link=graph(system.graphs, one.expression)),)),
            (texts.column("first_steps"), plain(readable(own.get("runbook") or one.runbook))),
            (texts.column("way_back"), marked(ways.get(one.role) or ways["otherwise"], {})),
        ],
    )


def readable(text: str) -> str:
    """A text of Prometheus' with names in place of its templates."""
    return _VALUE.sub("<value>", _LABEL.sub(r"<\1>", text))


def graph(base: str, expression: str) -> str:
    return f"{base}/graph?g0.expr={quote(expression, safe='')}&g0.tab=0"


def asked(system: System, texts: Texts, subject: str) -> list[Block]:
    """Where that is found which systems like ours ask for."""
    rows = [
        [plain(one["system"]), plain(texts.of(one["asked"])), _found(one["found"])]
        for one in data("asked.yml")
        if "found" in one
    ]
    return table(texts, ["system", "asked", "found"], rows)


def _found(found: list[str]) -> Line:
    """A name of a playbook is a command, everything else a document with its section."""
    return joined([(Span(one, code=True),) if " " in one else plain(one, link=one) for one in found])


def left(system: System, texts: Texts, subject: str) -> list[Block]:
    rows = [
        [plain(one["system"]), plain(texts.of(one["asked"])), plain(texts.of(one["left"]))]
        for one in data("asked.yml")
        if "left" in one
    ]
    return table(texts, ["system", "asked", "why"], rows)
