"""Modes are those that are wanted, under every umask; and nobody makes directories and files another way."""

from __future__ import annotations

import ast
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.evidence import spool
from ansible_collections.slipway.ops.plugins.module_utils.host import files, lock
from ansible_collections.slipway.ops.plugins.module_utils.host.files import create, make_directory
from ansible_collections.slipway.ops.plugins.module_utils.release import history
from ansible_collections.slipway.ops.plugins.module_utils.release.host import write_files

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=[0o022, 0o077, 0o000], ids=["022", "077", "000"])
def place(request, tmp_path):
    before = os.umask(request.param)
    yield tmp_path
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("wanted", [0o755, 0o750, 0o700])
def test_a_directory_has_its_mode_and_those_above_it_let_everybody_pass(place, wanted):
    make_directory(place / "a" / "b" / "c", wanted)
    assert [mode(place / path) for path in ("a", "a/b", "a/b/c")] == [0o755, 0o755, wanted]


def test_what_was_made_wrong_is_mended_where_it_is_ours_alone(place, monkeypatch):
    ours, other = place / "slipway", place / "other"
    monkeypatch.setattr(files, "OURS", (ours,))
    for root in (ours, other):
        (root / "keys" / "web").mkdir(parents=True)
        for path in (root, root / "keys", root / "keys" / "web"):
            path.chmod(0o700)
        make_directory(root / "keys")
        make_directory(root / "keys" / "web")
    assert [mode(ours / path) for path in (".", "keys", "keys/web")] == [0o711, 0o755, 0o755]
    assert [mode(other / path) for path in (".", "keys", "keys/web")] == [0o700, 0o700, 0o700]


def test_a_group_that_is_inherited_stays_so(place, monkeypatch):
    monkeypatch.setattr(files, "OURS", (place,))
    make_directory(place / "shared", 0o750)
    (place / "shared").chmod(0o2700)
    make_directory(place / "shared", 0o750)
    assert mode(place / "shared") == 0o2750


def test_a_file_has_its_mode_when_it_is_made_and_keeps_what_it_has(place):
    os.close(create(place / "file", os.O_WRONLY, 0o640))
    assert mode(place / "file") == 0o640
    (place / "file").chmod(0o600)
    os.close(create(place / "file", os.O_WRONLY | os.O_APPEND, 0o640))
    assert mode(place / "file") == 0o600


def test_those_who_share_it_can_read_what_others_leave(place):
    """A lock that people can read, a release's history and secrets, results of timers."""
    wanted = {"run": "r", "owner": "me", "purpose": "p", "process": ""}
    lock.acquire(place / "locks" / "deploy.json", wanted, 60)
    history.append(place / "history.jsonl", {"event": "begun"})
    write_files(place / "release", {"secret": "s"})
    spool.Spool(str(place / "results")).remember([{"id": "a", "subject": "b", "at": "c"}])
    assert mode(place / "locks") == 0o755
    assert mode(place / "history.jsonl") == 0o644
    assert (mode(place / "release"), mode(place / "release" / "secret")) == (0o755, 0o640)
    assert (mode(place / "results"), mode(place / "results" / "latest.json")) == (0o750, 0o640)


# Each sets owner and mode of what it makes itself: a transaction has them from the set that is wanted.
OWN_WAYS = ("module_utils/host/files.py", "module_utils/config_tree/")


def sources() -> list[Path]:
    return [path for path in (ROOT / "plugins").rglob("*.py") if not any(way in str(path) for way in OWN_WAYS)]


def test_nobody_makes_directories_another_way():
    made = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in ("mkdir", "makedirs")
    ]
    assert made == []


def test_nobody_makes_files_for_others_that_the_umask_closes():
    """Whoever creates a file by its descriptor sets the mode on it."""
    made = []
    for path in sources():
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                text = ast.unparse(function)
                if "O_CREAT" in text and "os.open(" in text and "fchmod" not in text and "384" not in text:
                    made.append(f"{path.relative_to(ROOT)}:{function.lineno} {function.name}")
    assert made == []
