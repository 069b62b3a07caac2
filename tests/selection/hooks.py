"""pytest's side of the selection: which parts run, in which order on which worker, and what is recorded at the end."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from selection.closure import Tree, digest
from selection.record import Choice, Passed, Record, commit, digests_at

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "tests" / "passed.json"
PARTIAL = ("keyword", "markexpr", "deselect", "maxfail", "lf", "stepwise")  # options that run some tests of a part
# What make test leaves to make test-all for its time.
LEFT_OUT = {
    f"molecule/{name}"
    for name in (
        *("data", "ipv6", "matrix", "postgresql_ha_upgrade", "restic", "scan", "secrets", "start"),
        *("system_insitechart", "system_mentoring", "system_modelops", "system_receipts"),
    )
}
# Recorded seconds of all workers: a run with two ends within fifty minutes on a slower machine, whatever was changed.
BUDGET = 5_000.0
UNKNOWN = 300.0  # seconds of a part that never ran, for the order only


def part_of(nodeid: str) -> str | None:
    """A test's part: its scenario, or its file where it needs real servers; unit tests and lint always run."""
    file, _, test = nodeid.partition("::")
    if file == "tests/scenarios/test_molecule.py":
        return "molecule/" + test.partition("[")[2].rstrip("]")
    return file if file.startswith("tests/integration/") else None


def parts_of(root: Path) -> list[str]:
    scenarios = [f"molecule/{path.parent.name}" for path in root.glob("molecule/*/molecule.yml")]
    return sorted(scenarios + [str(path.relative_to(root)) for path in root.glob("tests/integration/test_*.py")])


class Selection:
    """One run's plan, made once before the first test, and what came of it."""

    def __init__(self, root: Path, record: Path, only_changed: bool) -> None:
        self.root, self.only_changed = root, only_changed
        self.record = Record(record)
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()
        self.passed: set[str] = set()

    @cached_property
    def contents(self) -> dict[str, dict[str, str]]:
        tree = Tree(self.root)
        return {part: tree.contents(part) for part in parts_of(self.root)}

    @cached_property
    def choices(self) -> dict[str, Choice]:
        commits = {passed.at for passed in self.record.passed.values()}
        before = {at: digests_at(self.root, at) for at in commits}
        chosen = {}
        for part, contents in self.contents.items():
            last = self.record.passed.get(part)
            known = before[last.at] if last else {}
            choice = self.record.choose(part, contents, digest(contents), known)
            if part in LEFT_OUT and choice.runs:
                choice = Choice(part, False, "for its time; make test-all runs it")
            chosen[part] = choice
        if self.only_changed:
            runs = {part for part, choice in chosen.items() if choice.runs}
            for part in self.record.beyond(runs, BUDGET, UNKNOWN):
                reason = f"put off, for the run would be too long, and first next time: {chosen[part].reason}"
                chosen[part] = Choice(part, False, reason)
        return chosen

    def lines(self) -> Iterable[str]:
        run = [choice for choice in self.choices.values() if choice.runs]
        yield f"of {len(self.choices)} parts that need hosts, {len(run)} run (make test-all runs all):"
        yield from (f"  run       {choice.part}: {choice.reason}" for choice in run)
        yield from (
            f"  left out  {choice.part}: {choice.reason}" for choice in self.choices.values() if not choice.runs
        )

    def see(self, report: pytest.TestReport) -> None:
        part = part_of(report.nodeid)
        if part:
            self.seconds[part] += report.duration
            if report.failed:
                self.failed.add(part)
            elif report.passed and report.when == "call":
                self.passed.add(part)

    def keep(self, whole: bool) -> None:
        """A scenario is one test; of other parts only a run of all their tests says that they pass."""
        at = commit(self.root)
        seen = {part for part in self.passed | self.failed if whole or part.startswith("molecule/")}
        ran: dict[str, Passed | None] = dict.fromkeys(self.failed & seen)
        for part in (self.passed & seen) - self.failed:
            ran[part] = Passed(digest(self.contents[part]), at, round(self.seconds[part], 1))
        left_out = {part for part, choice in self.choices.items() if not choice.runs} if self.only_changed else set()
        Record(self.record.path).note(ran, left_out - ran.keys(), set(self.contents))  # others may have run meanwhile


KEY = pytest.StashKey[Selection]()


def selection(config: pytest.Config) -> Selection:
    if KEY not in config.stash:
        config.stash[KEY] = Selection(ROOT, RECORD, config.getoption("only_changed"))
    return config.stash[KEY]


def whole(config: pytest.Config) -> bool:
    """Whether every test of the parts that run is run: only then does a pass speak of the part."""
    asked = any(config.getoption(option, None) for option in PARTIAL)
    return not asked and not any("::" in text for text in config.args)


def is_controller(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--only-changed",
        action="store_true",
        help="leave out what needs hosts and passed with the same inputs",
    )


def pytest_report_header(config: pytest.Config) -> list[str]:
    wanted = is_controller(config) and config.getoption("only_changed")
    return list(selection(config).lines()) if wanted else []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not any(part_of(item.nodeid) for item in items):
        return
    chosen = selection(config)
    if config.getoption("only_changed"):
        for item in items:
            choice = chosen.choices.get(part_of(item.nodeid) or "")
            if choice and not choice.runs:
                item.add_marker(pytest.mark.skip(reason=f"left out: {choice.reason}"))
    items.sort(key=lambda item: _order(chosen, item))


def _order(chosen: Selection, item: pytest.Item) -> tuple[float, str]:
    """Lint and unit tests first, then the longest, so that two workers end at about the same time."""
    part = part_of(item.nodeid)
    if part is None:
        return -math.inf, ""
    left_out = chosen.only_changed and not chosen.choices[part].runs
    return 0.0 if left_out else -chosen.record.seconds(part, UNKNOWN), part


class ByPart(LoadScopeScheduling):
    """Tests of a file share their hosts and so a worker; each scenario goes to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        return part_of(nodeid) or nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByPart:
    return ByPart(config, log)


class Watch:
    """On the controller only: sees every report and keeps the record."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        selection(config).contents  # noqa: B018  what is recorded is what the run began with

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        selection(self.config).see(report)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        found = selection(self.config)
        if ended and (found.passed or found.failed):
            found.keep(whole(self.config))


def pytest_configure(config: pytest.Config) -> None:
    about_hosts = any("scenarios" in text or "integration" in text or text in ("tests", ".") for text in config.args)
    if is_controller(config) and about_hosts and not config.getoption("collectonly"):
        config.pluginmanager.register(Watch(config), "slipway-selection")
