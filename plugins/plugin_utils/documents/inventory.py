# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the inventory says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.model import (
    Block,
    Line,
    Paragraph,
    Table,
    code,
    joined,
    plain,
)
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.system import System, file_name, value_of
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.texts import Texts
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import brief

NOTHING: Line = plain("—")


def table(texts: Texts, columns: Sequence[str], rows: Sequence[Sequence[Line]]) -> list[Block]:
    """A table with rows, or nothing."""
    return [Table([texts.column(name) for name in columns], rows)] if rows else []


def facts(texts: Texts, known: Mapping[str, Line]) -> list[Block]:
    """A table of names and values."""
    return table(
        texts, ["name", "value"], [[plain(texts.column(name)), line or NOTHING] for name, line in known.items()]
    )


def to_host(name: str) -> Line:
    return plain(name, link=f"host-{file_name(name)}")


def to_service(name: str) -> Line:
    return plain(name, link=f"service-{file_name(name)}")


def hosts(system: System, texts: Texts, subject: str) -> list[Block]:
    rows = [
        [
            to_host(one.name),
            code(one.address),
            plain(", ".join(one.groups) or "—"),
            joined([to_service(service.name) for service in one.services]) or NOTHING,
        ]
        for one in system.hosts.values()
    ]
    return table(texts, ["host", "address", "groups", "services"], rows)


def services(system: System, texts: Texts, subject: str) -> list[Block]:
    rows = [
        [
            to_service(name),
            joined([to_host(host) for host in where]),
            code(one.image),
            plain(texts["strategies"][one.strategy]),
        ]
        for name, (one, where) in system.services.items()
    ]
    return table(texts, ["service", "hosts", "image", "strategy"], rows)


def contacts(system: System, texts: Texts, subject: str) -> list[Block]:
    rows = [[plain(one.get(name) or "—") for name in ("name", "duty", "reach")] for one in system.contacts]
    return table(texts, ["name", "duty", "reach"], rows)


def jobs(system: System, texts: Texts, subject: str) -> list[Block]:
    rows = [
        [
            plain(job.name),
            plain(f"{job.schedule.rrule} ({job.schedule.timezone})" if job.schedule else texts["on_demand"]),
            plain(job.description or "—"),
            plain(texts("approval", span=brief(job.approval)) if job.approval else "—"),
        ]
        for job in system.jobs
    ]
    return table(texts, ["job", "when", "what", "approval"], rows)


def costs(system: System, texts: Texts, subject: str) -> list[Block]:
    """What a month costs by the inventory's prices, and which hosts the sum is without."""
    told = system.costs
    if not told:
        return []
    rows = [
        [plain(one["name"]), plain(one["count"]), *map(_money, (one["each"], one["month"]))] for one in told["rows"]
    ]
    rows.append([plain(texts["sum"]), NOTHING, NOTHING, plain(f"{told['month']:,.2f} {told['currency']}".strip())])
    without = [plain(texts["without_price"]), joined([to_host(name) for name in told["without"]])]
    missing = [Paragraph(joined(without, ""))] if told["without"] else []
    return [*table(texts, ["what", "count", "each", "month"], rows), *missing, Paragraph(plain(texts["prices"]))]


def _money(amount: float) -> Line:
    return plain(f"{amount:,.2f}")


def host(system: System, texts: Texts, subject: str) -> list[Block]:
    one = system.hosts[subject]
    return facts(
        texts,
        {
            "address": code(one.address),
            "groups": plain(", ".join(one.groups) or "—"),
            "roles": plain(", ".join(sorted(one.roles))),
            "stores": plain(", ".join(one.engines) or "—"),
            "services": joined([to_service(service.name) for service in one.services]),
        },
    )


def units(system: System, texts: Texts, subject: str) -> list[Block]:
    return table(
        texts, ["unit", "role"], [[code(one["name"]), plain(one["role"])] for one in system.hosts[subject].units]
    )


def ports(system: System, texts: Texts, subject: str) -> list[Block]:
    rows = [
        [code(one["port"]), plain(one["name"]), plain(one["role"]), plain(", ".join(_listed(one.get("from"))) or "—")]
        for one in system.hosts[subject].ports
    ]
    return table(texts, ["port", "name", "role", "who_comes"], rows)


def logs(system: System, texts: Texts, subject: str) -> list[Block]:
    rows = [
        [code(f"journalctl -u {one['unit']}" if one.get("unit") else one["path"]), plain(one["role"])]
        for one in system.hosts[subject].logs
    ]
    return table(texts, ["where", "role"], rows)


def service(system: System, texts: Texts, subject: str) -> list[Block]:
    one, where = system.services[subject]
    return facts(texts, _about(one, texts) | {"hosts": joined([to_host(name) for name in where])})


def _about(one: Service, texts: Texts) -> dict[str, Line]:
    return {
        "image": code(one.image),
        "strategy": plain(texts["strategies"][one.strategy]),
        "instances": plain(one.instances),
        "port": plain(one.port),
        "health": code(" ".join(one.health.command) if one.health.command else one.health.path),
        "ready": code(one.ready.path),
        "stop": plain(brief(one.stop_timeout)),
        "resources": plain(texts("resources", cpus=f"{one.resources.cpus:g}", memory=one.resources.memory)),
        "workers": plain(", ".join(worker.name for worker in one.workers) or "—"),
        "volumes": joined([code(f"{volume.name}: {volume.path}") for volume in one.volumes]),
        "environment": plain(", ".join(sorted(one.environment)) or "—"),
        "secrets": plain(", ".join(sorted(one.secrets)) or "—"),
        "bake": plain(brief(one.bake.seconds) if one.bake.seconds else "—"),
    }


RULES = (
    "deploy_windows",
    "deploy_freezes",
    "deploy_timezone",
    "deploy_change_pattern",
    "deploy_approvers",
    "deploy_gate_timeout",
    "deploy_watch_seconds",
    "deploy_watch_error_rate",
    "deploy_watch_latency_p95",
    "deploy_canary_steps",
    "deploy_rolling_max_unavailable",
    "deploy_rollback_limit",
    "deploy_keep",
)


def release_rules(system: System, texts: Texts, subject: str) -> list[Block]:
    """What a release keeps to, as the first edge has it, of which guards are read."""
    if not system.services:
        return []
    first = next((one for one in system.hosts.values() if "edge" in one.groups), next(iter(system.hosts.values())))
    rows = [[plain(texts["rules"][name]), plain(_told(value_of(first, "deploy", name))), code(name)] for name in RULES]
    return table(texts, ["rule", "value", "variable"], rows)


def _told(value: Any) -> str:
    """A value of the inventory as people read it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    if isinstance(value, list):
        return "; ".join(_told(one) for one in value) or "—"
    return "—" if value in (None, "") else str(value)


def _listed(value: Any) -> list[str]:
    return [str(one) for one in (value if isinstance(value, list) else [value] if value else [])]
