#!/usr/bin/env python3
"""What role waf's nginx catches and misses: the Core Rule Set's own regression tests, at paranoia level 1 to 4.

The project's runner (go-ftw, crs/main.go) sends each test to nginx over loopback inside the container and reads in
nginx' log which rules matched, so a test passes when its own rule does what the project says. Beside that: how many of
the attacks got no answer of the service, by any rule or by nginx itself. Role, rules and site are those of an operator;
this adds a log that go-ftw can read, the rule that marks it, and a service that takes everything.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from common import ROOT, ansible_playbook, containers, in_container, print_table, write_in_container
from waf import ARCHIVE, firewall

NAME = "slipway-bench-crs-edge1"
RULES = "github.com/corazawaf/coraza-coreruleset/v4@v4.25.0"  # as molecule/waf/pack.sh has it
LEVELS = (1, 2, 3, 4)
FLOOR = 0.95  # of the tests of level 1's rules
LOG = "/var/log/nginx/crs.log"
EXTRA = f"""
map $http_x_crs_test $crs_tested {{
    default 0;
    "" 1;
}}
log_format crs "answered $status $upstream_status";
access_log {LOG} crs if=$crs_tested;
"""
MARK = (
    'SecRule REQUEST_HEADERS:X-CRS-Test "@rx ^.+$" "id:999999,phase:1,pass,t:none,log,'
    "msg:'X-CRS-Test %{MATCHED_VAR}',ctl:auditEngine=Off,ctl:ruleRemoveById=1-999999\"\n\n"
)
FIRST_OF_ANSWERS = 950  # groups of rules from here on look at what a service answers, which the role does not
OURS = range(200000, 201000)  # rules of the role itself, of bodies that cannot be read
WHY = {
    "nginx": "nginx refuses it",
    "first": "the role's rule does",
    "silent": "rule is silent",
    "alarm": "rule matches",
    "status": "another status",
}


@dataclass(frozen=True)
class Seen:
    """What one test met."""

    test: str
    attack: bool
    passed: bool
    rules: list[int]
    statuses: list[int]
    reached: bool
    error: str

    @property
    def rule(self) -> int:
        return int(self.test.split("-")[0])

    @property
    def group(self) -> int:
        return self.rule // 1000

    def why(self) -> str:
        if not self.rules and not self.reached:
            return WHY["nginx"]
        if self.attack and self.rule not in self.rules:
            return WHY["first"] if any(rule in OURS for rule in self.rules) else WHY["silent"]
        return WHY["alarm"] if not self.attack and self.rule in self.rules else WHY["status"]


def go(*argv: str, **settings: str) -> str:
    done = subprocess.run(
        ["go", *argv],
        cwd=ROOT / "benchmarks/crs",
        env={**os.environ, "CGO_ENABLED": "0", **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"go {' '.join(argv)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def regression_tests() -> Path:
    """The directory of the tests, in the module that has the rules."""
    return Path(json.loads(go("mod", "download", "-json", RULES, GOFLAGS="-mod=mod"))["Dir"]) / "tests"


def names_of(tests: Path) -> list[str]:
    """The names that the tests ask for; addresses and what is no name stay unknown to nginx."""
    written = " ".join(file.read_text() for file in tests.rglob("*.yaml"))
    found = re.findall(r"^\s+Host: \"?((?=[a-z])[a-z0-9.-]*[a-z])\"?$", written, re.MULTILINE)
    return sorted(set(found))


def levels_of_rules() -> dict[int, int]:
    """The paranoia level of each rule, as its tag says."""
    levels = {}
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            if not member.name.endswith(".conf"):
                continue
            written = archive.extractfile(member).read().decode()  # type: ignore[union-attr]
            for rule in re.split(r"^(?=SecRule|SecAction)", written, flags=re.MULTILINE):
                number, level = re.search(r"\bid:(\d+)", rule), re.search(r"paranoia-level/(\d)", rule)
                if number:
                    levels[int(number[1])] = int(level[1]) if level else 1
    return levels


def write_playbook(path: Path, names: list[str], level: int) -> Path:
    variables: dict[str, Any] = {
        **firewall(),
        "nginx_unlimited_clients": ["127.0.0.1"],
        "nginx_extra": EXTRA,
        "nginx_sites": [
            {
                "name": "tested",
                "domains": names,
                "waf": {"mode": "block", "paranoia": level},
                "locations": [{"path": "/", "pool": "127.0.0.1:18000"}],
            }
        ],
    }
    roles = [f"slipway.ops.{role}" for role in ("waf", "nginx")]
    play = {"hosts": "all", "gather_subset": ["min", "network", "hardware"], "vars": variables, "roles": roles}
    path.write_text(yaml.safe_dump([play]))
    return path


def prepare(program: Path, tests: Path) -> None:
    """The rules, the runner, the tests and the service behind nginx, in the container."""
    copies = {ARCHIVE: "/srv/crs.tar.gz", program: "/srv/ftw", tests: "/srv/tests"}
    for source, place in copies.items():
        subprocess.run(["docker", "cp", source, f"{NAME}:{place}"], check=True, capture_output=True)
    in_container(NAME, "systemd-run --quiet --unit pool /srv/ftw serve")


def mark() -> None:
    """The rule that tells go-ftw where a test begins and ends, before all others."""
    place = in_container(NAME, "dirname /usr/local/share/slipway/*/rules/REQUEST-901-INITIALIZATION.conf").strip()
    write_in_container(NAME, f"{place}/REQUEST-900-MARK.conf", MARK)


def run_tests(log: Path | None) -> list[Seen]:
    # ModSecurity tells rules to the log that nginx itself has, on level info.
    in_container(NAME, f"sed -i 's#^error_log .*#error_log {LOG} info;#' /etc/nginx/nginx.conf")
    in_container(NAME, f"systemctl stop nginx && : > {LOG} && systemctl start nginx")
    told = in_container(NAME, f"/srv/ftw /srv/tests {LOG}")
    if log:
        log.write_text(told)
    seen = [Seen(**json.loads(line)) for line in told.splitlines()]
    blind = [each for each in seen if "marker" in each.error]
    if blind:
        raise SystemExit(f"go-ftw did not find its marks for {len(blind)} tests, such as {blind[0]}")
    return seen


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def level_row(level: int, seen: list[Seen], levels: dict[int, int]) -> tuple[str, ...]:
    requests = [each for each in seen if each.group < FIRST_OF_ANSWERS]
    its = [each for each in requests if levels.get(each.rule, 1) <= level]
    passed = sum(each.passed for each in its)
    attacks = [each for each in requests if each.attack]
    missed = sum(each.reached for each in attacks)
    numbers = [len(its), passed, len(its) - passed, share(passed, len(its))]
    numbers += [len(attacks), len(attacks) - missed, missed, share(len(attacks) - missed, len(attacks))]
    return str(level), *map(str, numbers)


def failed_rows(seen: Iterable[Seen], level: int, levels: dict[int, int]) -> list[tuple[str, ...]]:
    """Groups of rules by how many tests fail, and why."""
    failed = [each for each in seen if not each.passed and levels.get(each.rule, 1) <= level]
    whys = list(WHY.values())
    groups: dict[int, Counter[str]] = {}
    for each in failed:
        groups.setdefault(each.group, Counter())[each.why()] += 1
    ordered = sorted(groups.items(), key=lambda item: (-item[1].total(), item[0]))
    return [(str(group), str(why.total()), *(str(why[name]) for name in whys)) for group, why in ordered]


def report(runs: dict[int, list[Seen]], levels: dict[int, int]) -> float:
    """Prints it; answers the share of level 1."""
    its = ("level", "its tests", "passed", "failed", "share")
    head = (*its, "attacks", "caught", "missed", "share")
    print_table([head, *(level_row(level, seen, levels) for level, seen in runs.items())])
    for level, seen in runs.items():
        print(f"\nlevel {level}, failed tests by group of rules")
        requests = [each for each in seen if each.group < FIRST_OF_ANSWERS]
        print_table([("group", "failed", *WHY.values()), *failed_rows(requests, level, levels)])
    answers = [each for each in runs[max(runs)] if each.group >= FIRST_OF_ANSWERS]
    passed = sum(each.passed for each in answers)
    print(f"\ntests of answers, which the role does not look at: {len(answers)}, of which {passed} pass")
    first = [each for each in runs[min(runs)] if each.group < FIRST_OF_ANSWERS and levels.get(each.rule, 1) == 1]
    return sum(each.passed for each in first) / len(first)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=int, nargs="+", default=LEVELS, choices=LEVELS, help="which (default: all)")
    parser.add_argument("--keep", type=Path, help="a directory for what each test met, a line of JSON each")
    asked = parser.parse_args()
    subprocess.run([ROOT / "molecule/waf/pack.sh", ARCHIVE], check=True)
    tests, levels = regression_tests(), levels_of_rules()
    runs = {}
    with tempfile.TemporaryDirectory() as place:
        program = Path(place, "ftw")
        go("build", "-buildvcs=false", "-o", str(program), ".")
        with containers(Path(place), "slipway-bench-crs", ["edge1"]) as inventory:
            prepare(program, tests)
            for level in sorted(asked.levels):
                ansible_playbook(inventory, write_playbook(Path(place, "edge.yml"), names_of(tests), level))
                mark()
                started = time.monotonic()
                runs[level] = run_tests(asked.keep and asked.keep / f"level{level}.jsonl")
                print(f"level {level}: {len(runs[level])} tests in {time.monotonic() - started:.0f} s", flush=True)
    first = report(runs, levels)
    if 1 in runs:
        print(f"level 1 passes at least {FLOOR:.0%}: {'yes' if first >= FLOOR else 'NO'}")
    return 0 if 1 not in runs or first >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
