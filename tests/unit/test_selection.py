"""Which parts of the suite a change runs: on a small tree of its own, and on this one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from selection.closure import Tree, digest
from selection.record import PATIENCE, Passed, Record

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="the tree is read through git")
ROOT = Path(__file__).resolve().parents[2]
OPS = "ansible_collections.slipway.ops.plugins"
FILES = {
    "molecule/web/molecule.yml": "platforms: []\n",
    "molecule/web/converge.yml": "- tasks:\n    - ansible.builtin.include_role: {name: slipway.ops.web}\n",
    "molecule/web/tests/test_web.py": "from playbook import play\nimport web_eyes\nplay('health')\nx['site']\n",
    "molecule/web/tests/web_eyes.py": "see = 'dumps/*.json', '*.json'\n",
    "tests/passed.json": "{}\n",
    "molecule/store/molecule.yml": "platforms: []\n",
    "molecule/store/converge.yml": "- hosts: all\n  roles: [slipway.ops.store] # not slipway.ops.web\n",
    "roles/web/tasks/main.yml": "- slipway.ops.tree: {files: []}\n- fail: {msg: run playbooks/site.yml first}\n",
    "roles/web/templates/a.j2": "{{ 1 | slipway.ops.quoted }}\n",
    "roles/web/README.md": "about\n",
    "roles/web/vars/main.yml": "files: \"{{ query('slipway.ops.program_files', 'store.program', target='/opt') }}\"\n",
    "plugins/module_utils/store/program.py": "run = 1\n",
    "playbooks/arguments/health.yml": "options: {}\n",
    "playbooks/arguments/shared.yml": "{}\n",
    "playbooks/arguments/report.yml": "options: {}\n",
    "roles/store/tasks/main.yml": "- slipway.ops.keep: {}\n",
    "plugins/modules/tree.py": f"'''slipway.ops.keep'''\nfrom {OPS}.module_utils.tree.plan import plan\n",
    "plugins/modules/keep.py": f"from {OPS}.module_utils import kinds\n",
    "plugins/action/tree.py": "x = 1\n",
    "plugins/filter/text.py": "class FilterModule:\n    filters = {f.__name__: f for f in (quoted, plain)}\n",
    "plugins/filter/pages.py": "order = ['quoted']\n\nclass FilterModule:\n    filters = {'page': str}\n",
    "plugins/module_utils/tree/__init__.py": "",
    "plugins/module_utils/tree/plan.py": f"from {OPS}.module_utils.lock import lock\n",
    "plugins/module_utils/tree/other.py": "y = 1\n",
    "plugins/module_utils/lock.py": "lock = 1\n",
    "plugins/module_utils/kinds/__init__.py": "import pkgutil\n",
    "plugins/module_utils/kinds/one.py": "one = 1\n",
    "playbooks/health.yml": "- slipway.ops.known_variables:\n- ansible.builtin.import_tasks: tasks/collect.yml\n"
    "- x: \"{{ query('slipway.ops.cards', 'checks') }}\"\n",
    "plugins/lookup/cards.py": "DOCUMENTATION = 'slipway.ops.keep'\n",
    "roles/store/meta/checks.yml.j2": "[]\n",
    "roles/store/meta/alerts.yml": "[]\n",
    "playbooks/site.yml": "- hosts: all\n  roles: [slipway.ops.store]\n",
    "playbooks/tasks/collect.yml": "- slipway.ops.evidence: {}\n",
    "testbed/create.yml": "- hosts: all\n",
    "tests/helpers/playbook.py": "def play(*a): ...\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


def touched(root: Path, name: str) -> set[str]:
    """The scenarios whose inputs differ after a change of the file."""
    scenarios = ("molecule/web", "molecule/store")
    before = {part: digest(Tree(root).contents(part)) for part in scenarios}
    with (root / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    return {part.removeprefix("molecule/") for part in scenarios if digest(Tree(root).contents(part)) != before[part]}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("molecule/web/converge.yml", {"web"}),
        ("roles/web/templates/a.j2", {"web"}),
        ("plugins/modules/tree.py", {"web"}),
        ("plugins/action/tree.py", {"web"}),
        ("plugins/filter/text.py", {"web"}),
        ("plugins/filter/pages.py", set()),  # it has a word that is another file's filter
        ("plugins/module_utils/lock.py", {"web"}),
        ("plugins/module_utils/tree/__init__.py", {"web"}),
        ("plugins/module_utils/kinds/one.py", {"store"}),
        ("molecule/web/tests/web_eyes.py", {"web"}),
        ("tests/helpers/playbook.py", {"web"}),
        ("playbooks/tasks/collect.yml", {"web"}),
        ("plugins/module_utils/store/program.py", {"web"}),
        ("playbooks/arguments/health.yml", {"web"}),
        ("playbooks/arguments/shared.yml", {"web"}),
        ("playbooks/arguments/report.yml", set()),  # of a playbook that it does not run
        ("roles/store/meta/checks.yml.j2", {"web", "store"}),  # of all roles, health reads what is to be measured
        ("roles/store/meta/alerts.yml", {"store"}),
        ("testbed/create.yml", {"web", "store"}),
        ("roles/web/README.md", set()),
        ("plugins/module_utils/tree/other.py", set()),
        ("playbooks/site.yml", set()),
        ("tests/passed.json", set()),  # what the run writes itself
    ],
)
def test_a_change_touches_what_depends_on_it(root: Path, name: str, parts: set[str]) -> None:
    assert touched(root, name) == parts


def test_a_new_file_counts_before_git_knows_it_and_an_ignored_one_never(root: Path) -> None:
    before = digest(Tree(root).contents("molecule/web"))
    (root / ".gitignore").write_text("*.pyc\n", encoding="utf-8")
    (root / "roles/web/tasks/main.pyc").write_text("", encoding="utf-8")
    assert digest(Tree(root).contents("molecule/web")) == before
    (root / "roles/web/tasks/more.yml").write_text("[]\n", encoding="utf-8")
    assert digest(Tree(root).contents("molecule/web")) != before


@pytest.fixture
def record(tmp_path: Path) -> Record:
    found = Record(tmp_path / "passed.json")
    found.note({"molecule/web": Passed("same", "1a2b3c4", 61.0)}, set(), {"molecule/web"})
    return found


def test_what_passed_with_the_same_inputs_is_left_out_and_says_so(record: Record) -> None:
    choice = record.choose("molecule/web", {}, "same", {})
    assert not choice.runs
    assert choice.reason == "passed with the same inputs at 1a2b3c4 in 61 s"


def test_what_changed_runs_and_names_the_file(record: Record) -> None:
    before = {"roles/web/tasks/main.yml": "old", "roles/web/vars/main.yml": "same"}
    choice = record.choose("molecule/web", before | {"roles/web/tasks/main.yml": "new"}, "other", before)
    assert choice.runs
    assert choice.reason == "changed since 1a2b3c4: roles/web/tasks/main.yml"


def test_what_never_passed_runs(record: Record) -> None:
    assert record.choose("molecule/store", {}, "same", {}).runs


def test_a_failure_is_no_pass_even_after_one(record: Record) -> None:
    record.note({"molecule/web": None}, set(), {"molecule/web"})
    assert Record(record.path).choose("molecule/web", {}, "same", {}).runs


def test_what_was_left_out_five_times_in_a_row_runs_anyway(record: Record) -> None:
    for _ in range(PATIENCE):
        assert not record.choose("molecule/web", {}, "same", {}).runs
        record.note({}, {"molecule/web"}, {"molecule/web"})
    assert Record(record.path).choose("molecule/web", {}, "same", {}).reason == "left out 5 times in a row"


def test_what_does_not_fit_into_a_run_is_put_off_and_first_next_time(tmp_path: Path) -> None:
    seconds = {"short": 100.0, "long": 900.0, "middle": 300.0}
    record = Record(tmp_path / "passed.json")
    record.note({part: Passed("old", "1a2b3c4", took) for part, took in seconds.items()}, set(), set(seconds))
    assert record.beyond([*seconds, "new"], 1000, 300) == {"long"}
    record.note({"short": Passed("new", "5d6e7f8", 100), "middle": None}, {"long"}, set(seconds))
    assert record.beyond(seconds, 1000, 300) == {"long"}, "what failed is not recorded, and goes first"
    record.note({"middle": Passed("new", "5d6e7f8", 300)}, {"long"}, set(seconds))
    assert record.beyond(seconds, 1000, 300) == {"middle"}
    assert record.beyond(seconds, 1300, 300) == set()
    for parts in (["b", "a", "c"], ["c", "b", "a"]):
        assert record.beyond(parts, 600, 300) == {"c"}, "whatever the order of a set is in this run"


def test_a_part_that_is_gone_is_forgotten(record: Record) -> None:
    record.note({}, set(), {"molecule/store"})
    assert not Record(record.path).passed


def test_here_a_role_runs_its_scenario_and_no_stranger() -> None:
    tree = Tree(ROOT)
    nginx = {path.parent.name for path in ROOT.glob("molecule/*/molecule.yml")}
    touched = {name for name in nginx if "roles/nginx/tasks/main.yml" in tree.inputs(f"molecule/{name}")}
    assert {"nginx", "site"} <= touched
    assert not touched & {"postgresql", "node_exporter", "docker", "postgresql_ha", "evidence"}


def test_here_every_file_of_tests_has_a_name_of_its_own() -> None:
    """pytest imports them by it when it collects them all."""
    names = [path.name for path in (ROOT / "tests").glob("*/**/test_*.py")]
    assert sorted(names) == sorted(set(names))
