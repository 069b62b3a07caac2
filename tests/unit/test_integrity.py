"""What differs from what was accepted: who may accept it, and what a check is told. A program stands for AIDE."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.monitoring import integrity
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.integrity import Aide, main, named

# As AIDE 0.19 has it, with what comes before and after.
REPORT = """\
Start timestamp: 2026-11-30 05:30:00 +0000 (AIDE 0.19.1)
AIDE found differences between database and filesystem!!

Summary:
  Total number of entries:\t4120
  Added entries:\t\t1

---------------------------------------------------
Added entries:
---------------------------------------------------

f++++++++++++++++: /usr/local/sbin/planted

---------------------------------------------------
Removed entries:
---------------------------------------------------

d----------------: /etc/old dir

---------------------------------------------------
Changed entries:
---------------------------------------------------

f > ...    .C..  : /etc/issue

---------------------------------------------------
Detailed information about changes:
---------------------------------------------------

File: /etc/issue
 Size      : 3                                | 8

---------------------------------------------------
The attributes of the (uncompressed) database(s):
---------------------------------------------------

/var/lib/slipway/integrity/files.db
 SHA256    : a/b=: /c
"""
# The database has each file's content; status and report are AIDE's.
AIDE = """
import json, pathlib, sys
watched, database = map(pathlib.Path, sys.argv[1:3])
now = {str(path): path.read_text() for path in watched.glob("*")}
known = json.loads(database.read_text()) if database.exists() else {}
if (watched.parent / "broken").exists():
    sys.exit(print("no such option", file=sys.stderr) or 17)
differs = sorted(path for path in {*now, *known} if now.get(path) != known.get(path))
if sys.argv[-1] != "--check":
    database.with_name("files.db.new").write_text(json.dumps(now))
if sys.argv[-1] == "--init":
    sys.exit(0)
print("AIDE found differences\\n", *(f"f>: {path}" for path in differs), sep="\\n")
sys.exit(4 if differs else 0)
"""


class Host:
    def __init__(self, root: Path) -> None:
        self.root, self.files, self.state = root, root / "files", root / "state"
        self.old: set[str] = set()
        self.files.mkdir()
        (root / "aide.py").write_text(AIDE)
        (root / "aide.conf").write_text(f"gzip_dbout=yes\nSLIPWAY = sha256\n{self.files} SLIPWAY\n!/etc/mtab\n")
        program = (sys.executable, str(root / "aide.py"), str(self.files), str(self.state / "files.db"))
        self.aide = Aide(self.state, root / "aide.conf", program)

    def does(self, *words: str) -> int:
        return main(words, self.aide)

    def write(self, name: str, text: str = "x", before: bool = False) -> str:
        path = self.files / name
        path.write_text(text)
        if before:
            self.old.add(str(path))
        return str(path)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Files of ``old`` were changed before any run began; ctime cannot be set, so it is stood for."""
    host = Host(tmp_path)
    asked = integrity.changed_since
    monkeypatch.setattr(integrity, "changed_since", lambda path, moment: path not in host.old and asked(path, moment))
    return host


def test_the_files_of_a_report_are_read_and_nothing_else() -> None:
    assert named(REPORT) == ["/etc/issue", "/etc/old dir", "/usr/local/sbin/planted"]
    assert named("Start timestamp: 2026 (AIDE 0.19.1)\nAIDE found NO differences. Looks okay!!\n") == []


def test_what_changed_is_told_until_it_is_accepted(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert host.does("accept") == 0 and host.does("last") == 0
    planted = host.write("planted")
    assert host.does("last") == 0, "nobody has looked yet"
    assert host.does("check") == 1 and host.does("last") == 1
    assert f"1 file differs from what was accepted: {planted}." in capsys.readouterr().out
    assert host.does("accept") == 0
    assert f"accepted: {planted}\n" in capsys.readouterr().out
    assert host.does("last") == 0 and host.does("check") == 0


def test_a_result_outlives_a_reboot_and_gets_old(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert host.does("last") == integrity.UNKNOWN
    assert "no comparison was made yet" in capsys.readouterr().out
    host.does("accept")
    kept = host.state / "last.json"
    told: dict[str, Any] = json.loads(kept.read_text())
    for seconds, status in ((26 * 3600 - 60, 0), (26 * 3600 + 1, integrity.UNKNOWN), (-3600, integrity.UNKNOWN)):
        kept.write_text(json.dumps(told | {"at": time.time() - seconds}))
        assert host.does("last") == status, seconds
    kept.write_text(json.dumps(told | {"at": 0, "differs": ["/etc/issue"]}))
    assert host.does("last") == 1, "a difference is none the less one"
    kept.write_text("{")
    assert host.does("last") == integrity.UNKNOWN


def test_a_comparison_that_fails_is_no_pass(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.does("accept")
    (host.root / "broken").touch()
    assert host.does("check") == 2
    assert host.does("last") == integrity.UNKNOWN
    assert "ended with status 17 and names 0 files: no such option" in capsys.readouterr().out
    assert host.does("end", "site", "60") == 2


def test_a_run_accepts_what_it_changed_and_what_differed_before_stays(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.write("ours")
    host.does("accept")
    planted = host.write("planted", before=True)
    assert host.does("begin", "site") == 0
    ours, new = host.write("ours", "changed"), host.write("new")
    gone = host.write("gone")
    (host.files / "gone").unlink()
    capsys.readouterr()
    assert host.does("end", "site") == 0
    said = capsys.readouterr()
    assert [line for line in said.out.splitlines() if line.startswith("accepted: ")] == [
        f"accepted: {new}",
        f"accepted: {ours}",
    ]
    assert f"not accepted: 1 file differs from what was accepted: {planted}." in said.out and gone not in said.out
    assert host.does("last") == 1
    assert host.does("check") == 1, "the database has it now, and nobody accepted it"
    capsys.readouterr()
    host.does("last")
    assert f"1 file differs from what was accepted: {planted}." in capsys.readouterr().out
    host.does("accept")
    assert f"accepted: {planted}\n" in capsys.readouterr().out
    assert host.does("check") == 0 and host.does("last") == 0


def test_a_run_that_changes_nothing_costs_no_comparison(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """site.yml that changes nothing is run often, and AIDE reads every file of a host."""
    host.write("ours", before=True)
    host.does("accept")
    host.old |= {str(host.files)}  # its directory, too
    (host.root / "broken").touch()
    assert host.does("begin", "site") == 0 and host.does("end", "site") == 0
    host.write("new")
    assert host.does("begin", "site") == 0 and host.does("end", "site") == 2, "AIDE is asked, and fails"


def test_without_a_beginning_nothing_is_accepted(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.does("accept")
    host.write("planted")
    assert host.does("end", "site") == 0
    assert "has not begun here, so that nothing is accepted" in capsys.readouterr().out
    host.does("begin", "site")
    begun = host.state / "begun" / "site"
    begun.write_text(str(time.time() - integrity.LONGEST_RUN - 1))
    host.does("end", "site")
    assert host.does("check") == 1


def test_a_run_that_was_killed_goes_on_and_the_night_waits_for_its_end(host: Host) -> None:
    host.does("accept")
    host.does("begin", "site")
    begun = (host.state / "begun" / "site").read_text()
    host.write("new")
    assert host.does("check") == 0, "whose run has not ended"
    host.write("planted", before=True)
    assert host.does("check") == 1
    host.does("begin", "site")
    assert (host.state / "begun" / "site").read_text() == begun
    host.does("end", "site")
    assert not (host.state / "begun" / "site").exists()
    assert json.loads((host.state / "last.json").read_text())["differs"] == [str(host.files / "planted")]


def test_a_change_is_told_by_what_no_program_sets(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    os.utime(path, (0, 0))
    now = time.time()
    assert integrity.changed_since(str(path), now) and not integrity.changed_since(str(path), now + 3600)
    assert integrity.changed_since(str(tmp_path / "gone" / "file"), now)
    assert not integrity.changed_since(str(tmp_path / "gone" / "file"), now + 3600)


def test_a_comparison_that_fails_forgets_nothing_that_differed(host: Host) -> None:
    host.does("accept")
    host.does("begin", "site")
    planted = host.write("planted", before=True)
    host.write("new")
    host.does("end", "site")
    (host.root / "broken").touch()
    assert host.does("end", "site", "60") == 2 and host.does("last") == integrity.UNKNOWN
    (host.root / "broken").unlink()
    assert host.does("check") == 1
    assert json.loads((host.state / "last.json").read_text())["differs"] == [planted]
