# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One page of how everything is: verdict, what is live where, health, backups, drills, the next jobs."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from ansible_collections.slipway.ops.plugins.module_utils.evidence.query import age
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError
from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import Job
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness import data, pictures
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.releases import Record, released
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.report import Page, moment
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import Words, quantity
from markupsafe import Markup

HERE = Path(__file__).parent
READINESS = HERE.parent / "readiness"
# The worst first. A skip speaks of nothing.
ORDER = ("fail", "unknown", "warn", "pass")
FRESH = 3600.0  # seconds after which nobody looks at a measurement of health as today's
TOLD = 12  # troubles of one host that are shown


@dataclass(frozen=True)
class Live:
    """A service: the version that its last good release or rollback left, and how it is on its hosts."""

    service: str
    version: str
    since: str
    failed: Record | None
    hosts: Mapping[str, Record | None]

    @property
    def state(self) -> str:
        """The worst of its hosts; a release that failed left the former one live, which is a warning. One that its bake
        could not take back is live."""
        found = {record["verdict"] if record else "missing" for record in self.hosts.values()}
        if self.failed:
            found.add("fail" if self.failed.get("taken_back") is False else "warn")
        return next(
            (one for one in ("fail", "unknown", "warn", "missing") if one in found),
            "pass" if self.version else "missing",
        )


@dataclass
class Host:
    """What is known of a host: the newest records of its checks, by their verdict."""

    name: str
    groups: Sequence[str]
    records: list[Record] = field(default_factory=list)
    oldest: float = 0.0

    @property
    def counts(self) -> dict[str, int]:
        found = [record["verdict"] for record in self.records]
        return {verdict: found.count(verdict) for verdict in ORDER if verdict in found}

    @property
    def state(self) -> str:
        """The worst of what is known; nothing known, or nothing lately, is no pass."""
        if not self.records:
            return "missing"
        worst = next(iter(self.counts), "missing")
        return "stale" if worst == "pass" and self.oldest > FRESH else worst

    @property
    def troubles(self) -> list[Record]:
        bad = [record for record in self.records if record["verdict"] != "pass"]
        return sorted(bad, key=lambda record: ORDER.index(record["verdict"]))[:TOLD]


@dataclass(frozen=True)
class Next:
    """A job by the clock and when it runs next."""

    job: Job
    at: datetime.datetime
    seconds: float


def lives(services: Mapping[str, Sequence[str]], records: Iterable[Record], history: Iterable[Record]) -> list[Live]:
    """Of each service with its hosts what is live by the evidence, newest first."""
    known = list(records)
    made = released([*history, *known])
    healthy = {one["subject"]: one for one in known if one["id"] == "application.containers.healthy"}
    found = []
    for service, hosts in services.items():
        ours = [one for one in made if one["subject"] == service]
        good = [one for one in ours if one["verdict"] == "pass" or one.get("taken_back") is False]
        failed = ours[-1] if ours and ours[-1]["verdict"] != "pass" else None
        version, since = (str(good[-1]["measured"]), good[-1]["at"]) if good else ("", "")
        found.append(
            Live(service, version, since, failed, {host: healthy.get(f"{service} on {host}") for host in hosts})
        )
    return found


def services_of(by_host: Mapping[str, Any]) -> dict[str, list[str]]:
    """By service its hosts, of each app host's ``app_services``."""
    found: dict[str, list[str]] = {}
    for host, services in by_host.items():
        for service in services if isinstance(services, list) else []:
            found.setdefault(str(service["name"]), []).append(host)
    return found


def hosts_of(groups: Mapping[str, Sequence[str]], records: Iterable[Record], now: datetime.datetime) -> list[Host]:
    """Each host with the records of its checks: those whose subject is the host, or something on it."""
    names = [name for name in groups.get("all", []) if name in groups.get("slipway", groups.get("all", []))]
    found = {
        name: Host(
            name,
            sorted(
                group
                for group, members in groups.items()
                if name in members and group not in ("all", "slipway", "ungrouped")
            ),
        )
        for name in names
    }
    for record in records:
        name = str(record["subject"]).rpartition(" on ")[2]
        if name in found and record["verdict"] in ORDER and str(record.get("source", "")).startswith("health_check"):
            host = found[name]
            host.records.append(record)
            host.oldest = max(host.oldest, _age(record, now))
    return list(found.values())


def upcoming(jobs: Iterable[Job], now: datetime.datetime) -> list[Next]:
    """The jobs by the clock, the next first."""
    found = [(job, job.schedule.after(now)) for job in jobs if job.schedule]
    return [
        Next(job, at, (at - now).total_seconds()) for job, at in sorted(found, key=lambda one: (one[1], one[0].name))
    ]


def _age(record: Record, now: datetime.datetime) -> float:
    try:
        return max(0.0, age(record, now))
    except EvidenceError:
        return float("inf")


def render(
    assessment: Mapping[str, Any],
    evidence: Mapping[str, Any],
    about: Mapping[str, Any],
    jobs: Sequence[Job],
    words: Words,
) -> str:
    """The page. ``about`` has ``system``, ``command``, ``groups`` of the inventory and ``services``, by app host."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([HERE, READINESS]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(moment=moment, quantity=quantity, span=words.span, ago=words.ago)
    page = Page(assessment, evidence, words)
    records, history = evidence.get("records") or [], evidence.get("history") or []
    hosts = hosts_of(about["groups"], records, page.now)
    style = "".join(
        (folder / name).read_text(encoding="utf-8")
        for folder, name in ((READINESS, "report.css"), (HERE, "status.css"))
    )
    return environment.get_template("status.html.j2").render(
        assessment=assessment,
        page=page,
        t=words,
        s=words["status"],
        about=about,
        data=data,
        pictures=pictures,
        lives=lives(services_of(about["services"]), records, history),
        hosts=sorted(
            hosts,
            key=lambda host: (("fail", "unknown", "missing", "stale", "warn", "pass").index(host.state), host.name),
        ),
        upcoming=upcoming(jobs, page.now),
        age=lambda record: _age(record, page.now),
        style=Markup(style),  # noqa: S704 (our own files)
        damaged=len(evidence.get("damaged", [])),
    )
