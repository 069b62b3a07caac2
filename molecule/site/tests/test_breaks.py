"""Whatever breaks is named in one line with its reason, and all is well after its repair without another command."""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from machine import until
from playbook import Run, module, play

INVENTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"
RECORDS = "/var/lib/slipway/evidence/records/$(date -u +%Y-%m).jsonl"
LIVE = r"""sample-$(tail -1 /srv/slipway/sample/history.jsonl | sed 's/^{[^{]*"colour": "\([a-z]*\)".*/\1/')-1"""
BACKUP_HOST = "$(getent ahostsv4 backup1 | head -1 | cut -d' ' -f1)"


@dataclass(frozen=True)
class Break:
    """What is done to a host, how it is undone, and the one line that tells it: subject, id, reason."""

    host: str
    does: str
    undone: str
    told: str


def short_lived(host: str, name: str, unit: str, told: str) -> Break:
    """A certificate that ends in five days, of an authority that nobody knows."""
    place = f"/etc/slipway/certificates/{name}"
    make = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -days 5"
        " -addext subjectAltName=DNS:app.demo.test -keyout key -out crt"
    )
    does = f"cp -a {place} /run/kept && cd $(mktemp -d) && {make} && cat crt > {place}/fullchain.pem && cat key > "
    return Break(
        host,
        f"{does}{place}/key.pem && systemctl reload {unit}",
        f"cp -a /run/kept/. {place} && systemctl reload {unit}",
        told,
    )


BREAKS = [
    Break(
        "app2",
        f"docker stop {LIVE}",
        f"docker start {LIVE}",
        r"sample on app2 application\.containers\.healthy: .*sample-(blue|green)-1 is exited, exit code \d+; see",
    ),
    Break(
        "db1",
        f"ip route add blackhole {BACKUP_HOST}",
        f"ip route del blackhole {BACKUP_HOST}",
        r"repository 1 from db1 data\.backup\.reachable: .*unable to connect to 'backup1:8432",
    ),
    Break(
        "backup1",
        "mkdir /srv/small && mount -t tmpfs -o size=1M tmpfs /srv/small && head -c 1M /dev/zero > /srv/small/fill",
        "umount /srv/small && rmdir /srv/small",
        r"backup1 infrastructure\.disk\.others: used space of /srv/small is 100 %",
    ),
    short_lived(
        "edge1", "app", "nginx", r"app\.demo\.test on edge1 security\.tls\.certificate: .*not trusted: self-signed"
    ),
    short_lived(
        "app1", "pgbouncer", "pgbouncer", r"pgbouncer on app1 security\.certificate\.valid: .*Certificate will expire"
    ),
]


def on(host: str, command: str) -> str:
    return module(INVENTORY, host, "ansible.builtin.shell", _raw_params=command)[host]["stdout"]


@pytest.fixture(scope="module")
def health(released: None, tmp_path_factory: Any) -> Callable[[], tuple[Run, list[str]]]:
    """All checks, once there is a backup: the run, and a line for whatever is not well."""
    assert play("backup", INVENTORY, type="full").code == 0
    place = tmp_path_factory.mktemp("health")

    def check() -> tuple[Run, list[str]]:
        run = play("health", INVENTORY, health_report_dir=str(place))
        assert run.changed == 0, run.output
        hosts = json.loads((place / "health.json").read_text())["hosts"]
        bad = [one for results in hosts.values() for one in results if one["verdict"] in ("fail", "unknown")]
        return run, [f"{one['subject']} {one['id']}: {one['reason']}" for one in bad]

    return check


def well(health: Callable[[], tuple[Run, list[str]]]) -> list[str]:
    """What is still wrong once pools, checks and timers that run each minute have had the time for it."""
    last: list[str] = []

    def passes() -> bool:
        run, last[:] = health()
        return run.code == 0

    until(passes, 150, 5)
    return last


@pytest.fixture(scope="module")
def verdict(health: Any, tmp_path_factory: Any) -> Callable[[], tuple[str, set[str]]]:
    """GO or NO-GO, and what blocks. What nobody has proven here, such as load, is waived while all is well."""
    place = tmp_path_factory.mktemp("readiness")
    waivers: list[dict[str, str]] = []

    def judge() -> tuple[str, set[str]]:
        play("readiness", INVENTORY, readiness_report_dir=str(place), readiness_waivers=waivers)
        judged = json.loads((place / "readiness.json").read_text())
        return judged["verdict"], set(judged["blocking"])

    assert well(health) == []
    tomorrow = (datetime.date.today() + datetime.timedelta(days=1)).isoformat()
    waivers += [{"id": one, "owner": "nobody", "reason": "not proven", "expires": tomorrow} for one in judge()[1]]
    assert not {one["id"] for one in waivers} & {"infrastructure.*", "application.*"}, waivers
    return judge


def test_what_breaks_is_named_in_one_line_and_well_after_its_repair(health: Any, verdict: Any) -> None:
    assert verdict() == ("GO", set())
    try:
        for one in BREAKS:
            on(one.host, one.does)
        run, lines = health()
        broken = verdict()
    finally:
        for one in BREAKS:
            on(one.host, one.undone)
    assert run.code != 0
    for one in BREAKS:
        assert len([line for line in lines if re.search(one.told, line)]) == 1, (one.told, lines)
    assert not any("\n" in line for line in lines), lines
    assert broken[0] == "NO-GO" and {"infrastructure.*", "application.*"} <= broken[1], broken
    assert well(health) == []
    assert verdict() == ("GO", set())


def test_each_unit_that_a_role_starts_is_missed(health: Any, verdict: Any) -> None:
    """And a postmaster that was killed comes back by itself."""
    told = module(INVENTORY, "all", "ansible.builtin.debug", msg="{{ query('slipway.ops.cards', 'units') }}")
    units = {host: [unit["name"] for unit in result["msg"] if "check" not in unit] for host, result in told.items()}
    assert {"nginx.service", "haproxy.service"} <= set(units["edge1"]) and "pgbouncer.service" in units["app2"]
    on("db1", "kill -9 $(head -1 /var/lib/postgresql/*/main/postmaster.pid)")
    assert well(health) == []
    for host, names in sorted(
        units.items(), reverse=True
    ):  # db1 before backup1: PostgreSQL's end waits for its archive
        sockets = "docker.socket " if "docker.service" in names else ""  # or who asks the engine starts it
        on(host, f"systemctl stop {sockets}{' '.join(names)}")
    try:
        run, lines = health()
    finally:
        for host, names in units.items():
            on(host, f"systemctl start {' '.join(names)}")
    assert run.code != 0
    for host, names in units.items():
        for name in names:
            ours = [line for line in lines if line.startswith(f"{host} ") and f": {name} is " in line]
            assert len(ours) == 1, (host, name, lines)
    assert verdict()[0] == "NO-GO"
    assert well(health) == []
    assert verdict() == ("GO", set())


def test_damaged_records_and_those_of_a_wrong_clock_are_named(health: Any, tmp_path: Path) -> None:
    ahead = """sed -n '/"infrastructure.disk.root","area":"infrastructure","subject":"edge1"/p' %s | tail -1 |"""
    on("monitor1", f"sed -i '2i half a record' {RECORDS}")
    on("monitor1", ahead % RECORDS + f""" sed 's/"at":"20../"at":"2999/' >> {RECORDS}""")
    said = play("readiness", INVENTORY, readiness_report_dir=str(tmp_path)).said
    assert re.search(r"1 damaged line in the store was left out: records/\d{4}-\d\d\.jsonl:\d+", said), said
    assert re.search(r"edge1, infrastructure\.disk\.root: its time 2999\S+ lies in the future", said), said
    on("monitor1", f"sed -i '/^half a record$/d' {RECORDS}")
    health()  # measured again, by a clock that is right
    said = play("readiness", INVENTORY, readiness_report_dir=str(tmp_path)).said
    assert "damaged line" not in said and "lies in the future" not in said, said
