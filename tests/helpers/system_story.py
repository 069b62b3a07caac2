"""A reference system from bare hosts to GO, by its own inventory, and to NO-GO for what its owners fear.

A scenario is a class of its own, ``class TestReceipts(Story)``, with what differs. The tests build on each other.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml
from machine import until
from playbook import ROOT, Run, module, play

INVENTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"
LONGEST = 2700  # seconds of a run on seven hosts beside other work
LATE = {"health_deadline": "0s", "health_timeout": "60s"}  # a busy machine is no answer
GOOD = ("1.0.0", "2.0.0")
# What only its owner makes or gives: a key that is made for scenarios, and the program that takes what people are told.
KEY = "AGE-SECRET-KEY-1682CE72VAZT0NTP7XHKCKH08QG5CMPCYXGDGY6QFFK5GD6TWJQFS9E39AA"
SINK = "http://127.0.0.1:7081"
GIVEN = {
    "redis_key": KEY,
    "dump_key": KEY,
    "slack_url": f"{SINK}/slack",
    "sms_url": f"{SINK}/sms",
    "sms_token": "of-this-scenario",
    "pagerduty_key": "of-this-scenario",
}
Order = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Sabotage:
    """What is done to a host and how it is undone; the playbooks that notice both; the one line that tells it.

    A line is the requirement's id, the subject and the reason.
    """

    host: str
    does: str
    undone: str
    told: str
    noticed: tuple[Order, ...] = ()


def stopped_instance(host: str, service: str) -> Sabotage:
    """The live release's first instance on a host stops for good: Docker starts none that somebody has stopped."""
    history = f"/srv/slipway/{service}/history.jsonl"
    live = rf"""{service}-$(tail -1 {history} | sed 's/^{{[^{{]*"colour": "\([a-z]*\)".*/\1/')-1"""
    told = (
        rf"application\.\*: {service} on {host}, application\.containers\.healthy: .*-1 is exited, exit code \d+; see"
    )
    return Sabotage(host, f"docker stop {live}", f"docker start {live}", told)


def damaged_backup(host: str) -> Sabotage:
    """Of the largest file that pgBackRest keeps some bytes are others; the verification finds it."""
    files = "find /var/lib/pgbackrest/backup -path '*/pg_data/*' -type f -printf '%s %p\\n'"
    largest = f"f=$({files} | sort -n | tail -1 | cut -d' ' -f2) && echo $f > /root/damaged"
    does = f"{largest} && cp -a $f /root/kept && printf slipway | dd of=$f bs=1 seek=64 conv=notrunc"
    undone = "cp -a /root/kept $(cat /root/damaged)"
    return Sabotage(host, does, undone, r"data\.backup\.verified: .*", (("backup", {"type": "verify"}),))


def short_lived_certificate(host: str, domain: str) -> Sabotage:
    """A certificate that ends in five days, of an authority that nobody knows."""
    place = "/etc/slipway/certificates/app"
    make = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={domain} -days 5"
        f" -addext subjectAltName=DNS:{domain} -keyout key -out crt"
    )
    put = f"cat crt > {place}/fullchain.pem && cat key > {place}/key.pem"
    does = f"cp -a {place} /run/kept && cd $(mktemp -d) && {make} && {put}"
    told = rf"security\.\*: {domain} on {host}, security\.tls\.certificate: .*not trusted: self-signed"
    reload = "systemctl reload nginx"
    return Sabotage(host, f"{does} && {reload}", f"cp -a /run/kept/. {place} && {reload}", told)


@dataclass(frozen=True)
class System:
    """Which inventory, what is released, and what a twin on one machine cannot be asked."""

    name: str
    services: tuple[str, ...]
    domain: str  # of the first service
    sabotages: tuple[Sabotage, ...]
    release: Mapping[str, Any] = field(default_factory=dict)
    load: Mapping[str, Any] = field(default_factory=dict)
    not_applicable: Mapping[str, str] = field(default_factory=dict)  # of the service that stands in

    @property
    def limits(self) -> dict[str, str]:
        """The inventory's limits of a period, but for those of the machine that all containers share.

        A load run has its own limits of response times. Nor are those asked that the hour in which a system is made,
        loaded and broken cannot keep.
        """
        place = ROOT / "inventories" / self.name
        said = yaml.safe_load((place / "group_vars" / "all" / "main.yml").read_text()).get("report_limits", {})
        groups = yaml.safe_load((place / "containers.yml").read_text())["all"]["children"]
        spent = dict.fromkeys(("cpu", "memory", "disk", "errors"), "<= 100")
        slow = {f"response-{share}": "< 60000" for share in ("p50", "p95", "p99")}
        exporters = {"site": "blackbox_exporter", "redis": "redis_exporter", "pgbouncer": "pgbouncer_exporter"}
        watched = {"host": "monitor", "database": "postgresql", **exporters}
        broken = {f"{one}-availability": ">= 0" for one, group in watched.items() if group in groups}
        return {**said, **spent, **slow, **broken}


@dataclass(frozen=True)
class Verdict:
    """What readiness.yml said: the run, and a line for each reason of what blocks."""

    run: Run
    lines: list[str]


class Story:
    """The tests; a subclass names the system."""

    system: ClassVar[System]

    def test_bare_hosts_become_the_system(self) -> None:
        (INVENTORY / "secrets").mkdir(mode=0o700, exist_ok=True)
        for name, text in GIVEN.items():
            (INVENTORY / "secrets" / name).write_text(text)
        self.does("site")

    def test_it_is_released_by_its_own_strategy_and_loses_no_request(self) -> None:
        images = [
            {"name": f"{service}:{version}", "image": f"slipway/sample-service:{version}"}
            for service in self.system.services
            for version in GOOD
        ]
        self.does("publish", publish_images=images)
        for version in GOOD:
            for service in self.system.services:
                self.does("deploy", service=service, version=version, **self.system.release)
        assert self.version() == GOOD[1]
        # How fast it is on a machine that does nothing else, benchmarks/rollback.py measures.
        self.does("rollback", service=self.system.services[0], deploy_rollback_limit=60)
        assert self.version() == GOOD[0]

    def test_its_data_is_backed_up_and_comes_back(self) -> None:
        for kind in ("full", "incr", "verify"):
            self.does("backup", type=kind)
        self.does("drill")

    def test_its_people_are_told_of_a_fault(self) -> None:
        self.does("alert_test")
        for means in ("web", "mail"):
            told = self.on("alertmanager[0]", f"cat /root/{means}")
            assert "its node exporter does not answer" in told, (means, told)

    def test_it_bears_its_load(self) -> None:
        self.does("load", service=self.system.services[0], **self.system.load)

    def test_a_second_run_changes_nothing(self) -> None:
        run = self.does("site")
        assert run.changed == 0, run.output

    def test_it_is_go(self, tmp_path: Path) -> None:
        blocking = self.goes(tmp_path)
        assert blocking == [], blocking

    def test_what_its_owners_fear_is_no_go_with_its_reason_and_go_after_its_repair(self, tmp_path: Path) -> None:
        for one in self.system.sabotages:
            with self.sabotaged(one):
                self.measure(tmp_path, one, sound=False)
                verdict = self.verdict(tmp_path)
            told = [line for line in verdict.lines if re.search(one.told, line)]
            assert verdict.run.code != 0 and "NO-GO" in verdict.run.said, (one.told, verdict.run.output)
            assert len(told) == 1 and "\n" not in told[0], (one.told, verdict.lines)
            blocking = self.goes(tmp_path, one)
            assert blocking == [], (one.does, blocking)

    def does(self, playbook: str, **variables: Any) -> Run:
        """A playbook that has to end well; how long it took is in the scenario's log."""
        began = time.monotonic()
        run = play(playbook, INVENTORY, timeout=LONGEST, **variables)
        print(f"{self.system.name}: {playbook} {time.monotonic() - began:.0f} s")
        assert run.code == 0, run.output
        return run

    def version(self) -> str:
        """The version that users see, through nginx and TLS."""
        authority = "/usr/local/share/ca-certificates/slipway-internal-ca.crt"
        command = f"curl -sS --fail --max-time 10 --cacert {authority} --resolve {self.system.domain}:443:127.0.0.1"
        return str(json.loads(self.on("edge[0]", f"{command} https://{self.system.domain}/version"))["version"])

    def on(self, host: str, command: str) -> str:
        results = module(INVENTORY, host, "ansible.builtin.shell", _raw_params=command)
        return "\n".join(str(result["stdout"]) for result in results.values())

    @contextmanager
    def sabotaged(self, one: Sabotage) -> Iterator[None]:
        self.on(one.host, one.does)
        try:
            yield
        finally:
            self.on(one.host, one.undone)

    def measure(self, place: Path, one: Sabotage | None = None, sound: bool = True) -> None:
        """Whatever readiness needs that the clock would have measured by now; ``sound`` runs have to end well."""
        orders: list[Order] = [*(one.noticed if one else ()), ("health", {"health_report_dir": str(place), **LATE})]
        orders += [("measure", {"period": "1h", "measure_coverage": 1, "report_limits": self.system.limits})]
        for playbook, variables in orders:
            run = play(playbook, INVENTORY, **variables)
            assert run.code == 0 or not sound or playbook == "health", run.output

    def verdict(self, place: Path) -> Verdict:
        spared = [{"id": one, "not_applicable": why} for one, why in self.system.not_applicable.items()]
        policy = f"{{{{ readiness_default_policy + own_requirements + {spared} }}}}"
        run = play(
            "readiness",
            INVENTORY,
            readiness_report_dir=str(place),
            readiness_policy=policy,
            report_limits=self.system.limits,
        )
        said = json.loads((place / "readiness.json").read_text())
        lines = [
            f"{one['id']}: {reason['subject']}: {reason['facts'].get('text') or reason['code']}"
            for one in said["requirements"]
            if one["blocking"]
            for reason in one["reasons"]
        ]
        assert all(one in run.said for one in said["blocking"]), run.output
        return Verdict(run, lines)

    def goes(self, place: Path, repaired: Sabotage | None = None) -> list[str]:
        """What still blocks once pools, checks and timers that run each minute have had the time for it."""
        last: list[str] = ["never asked"]

        def passes() -> bool:
            self.measure(place, repaired)
            verdict = self.verdict(place)
            last[:] = verdict.lines
            return verdict.run.code == 0 and "GO:" in verdict.run.said

        until(passes, 180, 5)
        return last
