"""What is counted, what was sent, and which lines of a file are taken, without a journal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.logs import follow as follow_module
from ansible_collections.slipway.ops.plugins.module_utils.logs import search
from ansible_collections.slipway.ops.plugins.module_utils.logs.events import Sender, exposition, kinds_of, stale
from ansible_collections.slipway.ops.plugins.module_utils.logs.follow import LONGEST, Follower
from ansible_collections.slipway.ops.plugins.module_utils.logs.search import Question, SearchError
from ansible_collections.slipway.ops.plugins.module_utils.logs.upload import Standing, confirmed, standing, total

ACCESS = {"SYSLOG_IDENTIFIER": "nginx", "LOG_FILE": "/var/log/nginx/access.log"}
SSHD = {"SYSLOG_IDENTIFIER": "sshd-session"}


@pytest.mark.parametrize(
    ("entry", "kinds"),
    [
        (ACCESS | {"MESSAGE": '{"status":503}'}, {"http_5xx": 1}),
        (ACCESS | {"MESSAGE": '{"status":499}'}, {}),
        (ACCESS | {"MESSAGE": '{"status":"-"}'}, {}),
        (ACCESS | {"MESSAGE": "[500]"}, {}),
        ({"SYSLOG_IDENTIFIER": "shop", "MESSAGE": '{"status":503}'}, {}),
        (
            SSHD | {"MESSAGE": "Failed password for invalid user x from 192.0.2.1 port 1 ssh2"},
            {"authentication_failure": 1},
        ),
        (SSHD | {"MESSAGE": "Accepted publickey for x from 192.0.2.1 port 1 ssh2"}, {}),
        ({"SYSLOG_IDENTIFIER": "shop", "MESSAGE": "Failed password for x"}, {}),
        (
            {"SYSLOG_IDENTIFIER": "postgresql", "MESSAGE": 'x FATAL:  password authentication failed for user "y"'},
            {"authentication_failure": 1},
        ),
        (
            {"SYSLOG_IDENTIFIER": "sudo", "MESSAGE": "x : 3 incorrect password attempts ; COMMAND=/bin/sh"},
            {"authentication_failure": 1},
        ),
        ({"_TRANSPORT": "kernel", "MESSAGE": "Out of memory: Killed process 1 (x)"}, {"out_of_memory": 1}),
        (
            {"_TRANSPORT": "kernel", "MESSAGE": "Memory cgroup out of memory: Killed process 1 (x)"},
            {"out_of_memory": 1},
        ),
        ({"_TRANSPORT": "syslog", "MESSAGE": "Out of memory: Killed process 1 (x)"}, {}),
        ({"MESSAGE_ID": "a596d6fe7bfa4994828e72309e95d61e", "N_DROPPED": "70"}, {"suppressed": 70}),
        ({}, {}),
    ],
)
def test_what_an_entry_counts_as(entry, kinds):
    assert kinds_of(entry) == kinds


def test_a_sender_that_was_never_heard_has_its_counters_at_zero_and_is_stale(tmp_path):
    quiet, loud = Sender("quiet"), Sender("loud")
    loud.take([{"__CURSOR": "c", "__REALTIME_TIMESTAMP": "1000000000", **ACCESS, "MESSAGE": '{"status":500}'}])
    text = "".join(exposition([quiet, loud], tmp_path))
    assert 'slipway_logs_events_total{sender="quiet",kind="out_of_memory"} 0\n' in text
    assert 'slipway_logs_events_total{sender="loud",kind="http_5xx"} 1\n' in text
    assert stale([quiet, loud], now=1300) == ["quiet (nothing ever)"]
    assert stale([loud], now=1301) == ["loud (301 s)"]


def cursor(number: int, of: str = "a", at: float = 0) -> str:
    return f"s={of};i={number:x};b=b;m=1;t={int(at * 1e6):x};x=1"


def test_what_waits_and_what_is_lost():
    assert standing(cursor(20, at=5), cursor(1), cursor(20, at=5)) == Standing(0, 0, 0)
    assert standing(cursor(20, at=5), cursor(1), cursor(30, at=9)) == Standing(10, 0, 4)
    assert standing(cursor(20, at=5), cursor(21), cursor(30, at=9)) == Standing(10, 0, 4)
    assert standing(cursor(20, at=5), cursor(26), cursor(30, at=9)) == Standing(5, 5, 4)
    assert standing("", cursor(3, at=1), cursor(30, at=9)) == Standing(28, 0, 8)
    assert standing(cursor(900, of="former"), cursor(1, at=1), cursor(3, at=2)) == Standing(3, 0, 1)


def test_losses_of_two_outages_add_up():
    state: dict[str, int] = {}
    seen = []
    for lost in (0, 5, 7, 0, 0, 2, 0):
        state = total(state, Standing(0, lost, 0))
        seen.append(sum(state.values()))
    assert seen == [0, 5, 7, 7, 7, 9, 9]


def test_the_cursor_that_was_confirmed(tmp_path):
    assert confirmed(tmp_path / "none") == ""
    (tmp_path / "state").write_text("# private\nLAST_CURSOR=s=a;i=1\n")
    assert confirmed(tmp_path / "state") == "s=a;i=1"


class Journal:
    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def __call__(self, name: str, path: Path, line: bytes) -> None:
        self.taken.append(line)


@pytest.fixture
def follow(tmp_path):
    """A follower as if started anew, and all lines that any of them took."""
    journal = Journal()
    return lambda *paths: Follower(dict.fromkeys(paths, "x"), tmp_path / "state.json", journal), journal.taken


def test_what_was_there_before_the_first_start_is_left_and_a_piece_of_a_line_waits(tmp_path, follow):
    start, taken = follow
    log = tmp_path / "a.log"
    log.write_text("before\n")
    follower = start(log)
    assert follower.turn() == 0
    with log.open("a") as file:
        file.write("one\n\ntw")
        file.flush()
        assert follower.turn() == 1
        file.write("o\n")
        file.flush()
        assert follower.turn() == 1
    assert taken == [b"one", b"two"]


def test_a_path_that_comes_later_is_followed_from_its_end_and_what_is_new_from_its_start(tmp_path, follow):
    """A role that is added has months of lines, which would raise alerts of long ago."""
    start, taken = follow
    first, later, none_yet = (tmp_path / name for name in ("a.log", "later.log", "none-yet.log"))
    first.write_text("before\n")
    later.write_text("months ago\n")
    start(first).turn()
    follower = start(first, later, none_yet)
    follower.turn()
    none_yet.write_text("new\n")
    with later.open("a") as file:
        file.write("now\n")
    follower.turn()
    assert taken == [b"now", b"new"]
    with later.open("a") as file:
        file.write("while it did not run\n")
    start(first, later, none_yet).turn()
    assert taken[2:] == [b"while it did not run"]


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch, capsys):
    log, settings = tmp_path / "a.log", tmp_path / "files.json"
    log.mkdir()
    (log / "b.log").mkdir()
    settings.write_text(json.dumps([{"path": str(log), "role": "x"}]))
    monkeypatch.setattr(sys, "argv", ["follow", str(settings), str(tmp_path / "state.json")])
    monkeypatch.setattr(follow_module, "Journal", Journal)
    assert follow_module.main() == 1
    assert capsys.readouterr().err == f"Cannot follow {log / 'b.log'}: Is a directory\n"


def test_rotated_and_emptied_files_and_restarts_lose_nothing(tmp_path, follow):
    start, taken = follow
    log = tmp_path / "a.log"
    follower = start(log)
    follower.turn()
    log.write_text("1\n")
    follower.turn()
    with log.open("a") as file:
        file.write("2\n")
    log.rename(tmp_path / "a.log.1")
    log.write_text("3\n")
    follower.turn()
    with log.open("a") as file:
        file.write("4\n")
    log.rename(tmp_path / "a.log.2")
    log.write_text("5\n")
    start(log).turn()
    log.write_text("")
    again = start(log)
    again.turn()
    log.write_text("6\n")
    again.turn()
    assert taken == [b"1", b"2", b"3", b"4", b"5", b"6"]


def test_a_long_line_comes_in_pieces_and_new_files_of_a_directory_from_their_start(tmp_path, follow):
    start, taken = follow
    (tmp_path / "d").mkdir()
    follower = start(tmp_path / "d")
    follower.turn()
    (tmp_path / "d/new.log").write_bytes(b"x" * (LONGEST + 1) + b"\nshort\n")
    (tmp_path / "d/other.txt").write_text("not a log\n")
    assert follower.turn() == 3
    assert [len(line) for line in taken] == [LONGEST, 1, 5]


@pytest.fixture
def store(tmp_path, monkeypatch):
    (tmp_path / "app1.journal").touch()
    (tmp_path / "app1@1-2-3.journal").touch()
    (tmp_path / "app12.journal").touch()
    asked: list[list[str]] = []
    names = {"SYSLOG_IDENTIFIER": ["sudo"], "CONTAINER_NAME": ["shop-blue-1", "shopping-1"]}
    monkeypatch.setattr(
        search, "lines", lambda arguments, timeout: names.get(arguments[-1].removeprefix("--field="), [])
    )

    def entries(arguments, timeout):
        asked.append(list(arguments))
        return []

    monkeypatch.setattr(search, "entries", entries)
    return tmp_path, asked


def test_a_host_is_its_own_files_and_a_service_its_containers(store):
    directory, asked = store
    search.search(directory, Question(hosts=["app1"], service="shop", text="a.b (c)"))
    (arguments,) = asked
    assert arguments[:2] == [f"--file={directory}/app1.journal", f"--file={directory}/app1@1-2-3.journal"]
    assert "CONTAINER_NAME=shop-blue-1" in arguments and not [one for one in arguments if "shopping" in one]
    assert r"--grep=a\.b \(c\)" in arguments and "--lines=201" in arguments


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (Question(hosts=["app2"]), "there are no entries of app2; did you mean app1"),
        (Question(service="sudoo"), "no entry is of a service sudoo; did you mean sudo"),
        (Question(limit=0), "limit is 0"),
    ],
)
def test_a_question_that_makes_no_sense(store, question, said):
    with pytest.raises(SearchError, match=said):
        search.search(store[0], question)


def test_the_newest_are_shown_and_that_there_are_more(store, monkeypatch):
    entry = {"SYSLOG_IDENTIFIER": "x", "MESSAGE": "y" * 3000}
    monkeypatch.setattr(
        search, "entries", lambda arguments, timeout: [entry | {"__REALTIME_TIMESTAMP": f"{n}000000"} for n in (1, 3)]
    )
    answer = search.search(store[0], Question(limit=3))
    assert [one["__REALTIME_TIMESTAMP"] for one in answer.found] == ["1000000", "3000000", "3000000"] and answer.more
    assert answer.lines()[0].startswith("1970-01-01T00:00:01.000Z app1") and "(3000 characters)" in answer.lines()[0]
