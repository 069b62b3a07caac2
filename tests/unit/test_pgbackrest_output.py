"""What pgBackRest 2.55 writes: its state as JSON, its log, and a verification that ends well whatever it finds."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest import stanza as stanzas
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.command import (
    PgbackrestError,
    arguments,
    plain,
    reason,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.info import (
    InfoError,
    find,
    parse,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.progress import Progress
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.status import describe, label
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.pgbackrest.verify import findings, judge

FULL, INCR = "20261121-150338F", "20261121-150338F_20261121-150341I"


def wal(number):
    return f"0000000100000000{number:08X}"


def backup(name, kind, stop, first, last, **changes):
    return {
        "label": name,
        "type": kind,
        "archive": {"start": wal(first), "stop": wal(last)},
        "database": {"id": 1, "repo-key": 1},
        "error": False,
        "info": {"delta": 8450, "repository": {"delta": 408, "delta-map": 0}, "size": 23464350},
        "timestamp": {"start": stop - 2, "stop": stop},
        **changes,
    }


def answer(*backups, **changes):
    stanza = {
        "name": "main",
        "archive": [{"database": {"id": 1, "repo-key": 1}, "id": "17-1", "max": wal(6), "min": wal(1)}],
        "backup": list(backups),
        "repo": [{"cipher": "aes-256-cbc", "key": 1, "status": {"code": 0, "message": "ok"}}],
        "status": {"code": 0, "lock": {"backup": {"held": False}}, "message": "ok"},
        **changes,
    }
    return parse(json.dumps([stanza]))


TWO = answer(backup(FULL, "full", 1000, 4, 4), backup(INCR, "incr", 1600, 5, 6))


def test_the_state_of_backups():
    (stanza,) = TWO
    assert stanza.created and [item.kind for item in stanza.of(1)] == ["full", "incr"] and stanza.of(2) == []
    state = describe(stanza, "main", 1, now=2000)
    assert (state.kind, state.age, state.full_age, state.backups) == ("incr", 400, 1000, 2)
    assert (state.size, state.stored, state.duration) == (23464350, 408, 2)
    assert state.last_success == "1970-01-01T00:26:40.000Z"


def test_a_backup_with_damaged_pages_does_not_count():
    (stanza,) = answer(backup(FULL, "full", 1000, 4, 4), backup(INCR, "incr", 1600, 5, 6, error=True))
    assert describe(stanza, "main", 1, now=2000).age == 1000


def test_nothing_yet():
    state = describe(find(answer(), "other"), "other", 1, now=0)
    assert (state.age, state.last_success, state.trouble) == (None, None, None)
    missing = {"code": 1, "message": "missing stanza path"}
    (stanza,) = answer(repo=[{"key": 1, "status": missing}], status=missing)
    assert not stanza.created and describe(stanza, "main", 1, now=0).trouble is None


def test_a_repository_that_cannot_be_read_says_why():
    broken = {"code": 99, "message": "[FileReadError] unable to read '/x'\n\x01HINT: more"}
    (stanza,) = answer(repo=[{"key": 1, "status": broken}], status={"code": 99, "message": "other"})
    told = describe(stanza, "main", 1, now=0).trouble
    assert told == "the repository of main cannot be read: [FileReadError] unable to read '/x'"


INFO = "unable to load info file '/r/backup/main/backup.info' or '/r/backup/main/backup.info.copy':\n"
FLUSH = "CryptoError: unable to flush\nHINT: is or was the repo encrypted?\n"
BYTES = "FormatError: key/value found outside of section at line 1: {}\n"
HINTS = "HINT: backup.info cannot be opened.\nHINT: has a stanza-create been performed?"
ANOTHER = "/r/backup/main/backup.info does not open with the repository's cipher_pass: another key made it, such as "


@pytest.mark.parametrize(
    ("kind", "file", "copy", "words"),
    [
        ("CryptoError", FLUSH, FLUSH, ANOTHER),
        # With more than a few lines it takes what comes out for text, before it comes to the end.
        ("FormatError", BYTES.format("L\udcac\x06j"), BYTES.format("}.\ufffd\\"), ANOTHER),
        ("FileOpenError", BYTES.format("\ufffd"), FLUSH, ANOTHER),
        (
            "CryptoError",
            *["CryptoError: cipher header invalid\nHINT: is or was the repo encrypted?\n"] * 2,
            "/r/backup/main/backup.info is not encrypted, and ",
        ),
        (
            "FormatError",
            *[BYTES.format("Salted__\ufffdx")] * 2,
            "/r/backup/main/backup.info is encrypted, and the repository has no cipher_pass here",
        ),
    ],
)
def test_another_key_is_told_as_what_it_is(kind, file, copy, words):
    """As pgBackRest 2.45 wrote them; a command that fails says the same with its status instead of the kind."""
    broken = {"code": 99, "message": f"[{kind}] {INFO}{file}{copy}{HINTS}"}
    (stanza,) = answer(repo=[{"key": 1, "status": broken}], status={"code": 99, "message": "other"})
    assert stanza.trouble(1).startswith(words)
    assert not [raw for raw in ("Error", "stanza-create", "\ufffd") if raw in stanza.trouble(1)]
    indented = f"{INFO}{file}{copy}{HINTS}".replace("\n", "\n" + 12 * " ")
    told = reason(f"ERROR: [095]: {indented}".splitlines())
    assert told.startswith(f"[095]: {words}") and "stanza-create" not in told


def test_what_is_no_matter_of_keys_stays_pgbackrests_word():
    told = f"{INFO}FileMissingError: unable to open missing file\nFileMissingError: unable to open missing file"
    assert plain(told).startswith("unable to load info file") and "FileMissingError" in plain(told)


REFUSED = """[ProtocolError] HTTP request failed with 403 (Forbidden):
*** Path/Query ***:
GET /backups?delimiter=%2F&prefix=shop%2Fbackup%2F
*** Request Headers ***:
authorization: <redacted>
*** Response Content ***:
<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SignatureDoesNotMatch</Code><Message>Check your key and signing method.</Message></Error>"""
AWAY = """[HostConnectError] unable to connect to 's3:7070 (10.0.0.3)': [111] refused
    [HostConnectError] on 7 retries from 101-5014ms: unable to connect to 's3:7070 (10.0.0.3)': [111] refused
    [HostConnectError] on retry at 45827ms: unable to connect to 's3:7070 (10.0.0.3)': [111] refused"""


def test_an_object_store_is_told_in_one_sentence():
    refused = "HTTP request failed with 403 (Forbidden): SignatureDoesNotMatch: Check your key and signing method."
    assert plain(REFUSED) == f"[ProtocolError] {refused}"
    away = "unable to connect to 's3:7070 (10.0.0.3)': [111] refused"
    assert plain(AWAY) == f"[HostConnectError] {away}"
    # A file and its copy, neither of which can be read.
    for message, told in ((REFUSED, f"ProtocolError: {refused}"), (AWAY, f"HostConnectError: {away}")):
        one = re.sub(r"^\[(\w+)\]", r"\1:", message)
        both = f"unable to load info file 'a' or 'a.copy':\n{one}\n{one}\nHINT: is it there?"
        assert plain(both) == f"unable to load info file 'a' or 'a.copy': {told} HINT: is it there?"
    assert plain("HTTP request failed with 500:\n*** Path/Query ***:\nGET /a") == "HTTP request failed with 500"


@pytest.mark.parametrize("check", [True, False])
def test_a_stanza_is_not_ready_while_a_repository_cannot_be_read(monkeypatch, check):
    """Whatever was changed: who runs the role again is told again."""
    bad = {"key": 2, "status": {"code": 99, "message": REFUSED}}
    found = answer(repo=[{"key": 1, "status": {"code": 0, "message": "ok"}}, bad])
    monkeypatch.setattr(stanzas, "read", lambda *_: found)
    with pytest.raises(PgbackrestError, match=r"^Repository 2 cannot be read: .*SignatureDoesNotMatch"):
        stanzas.ensure("main", "postgres", check=check, dry=False)


def test_what_runs():
    lock = {"backup": {"held": True, "size": 200, "size-cplt": 50}}
    (stanza,) = answer(status={"code": 0, "lock": lock, "message": "ok"})
    assert describe(stanza, "main", 1, now=0).running == "a backup is running, 25 %"


def test_other_output_is_no_answer():
    for output in ("", '["main"]', '[{"name": "main"}]', "ERROR"):
        with pytest.raises(InfoError):
            parse(output)


def test_two_repositories_have_names():
    assert (label("main", 1, [1]), label("main", 2, [1, 2])) == ("main", "main/repo2")


def test_secrets_have_no_place_on_a_command_line():
    told = arguments("backup", "main", type="full", repo=1, log_level_console="detail", nothing=None)
    assert told == ["pgbackrest", "--stanza=main", "--type=full", "--repo=1", "--log-level-console=detail", "backup"]


LOG = "2026-11-21 15:03:38.949 P00 {}"


def test_the_reason_is_pgbackrests_own():
    lines = [
        LOG.format("  INFO: backup command begin 2.55.1: --stanza=main"),
        LOG.format("  WARN: no prior backup exists, incr backup has been changed to full"),
        LOG.format(" ERROR: [056]: unable to find primary cluster - cannot proceed"),
        " " * 36 + "HINT: are all available clusters in recovery?",
        LOG.format("  INFO: backup command end: aborted with exception [056]"),
    ]
    told = "[056]: unable to find primary cluster - cannot proceed HINT: are all available clusters in recovery?"
    assert reason(lines) == told
    assert reason(["P00  ERROR: [031]: invalid option '--x'"]) == "[031]: invalid option '--x'"
    assert reason(lines[:2]) == "no prior backup exists, incr backup has been changed to full"
    assert reason([]) == ""


def test_progress_from_the_log():
    progress = Progress()
    progress.take(LOG.format("  INFO: execute non-exclusive backup start: backup begins after the checkpoint"))
    assert progress.phase == "waiting for PostgreSQL's checkpoint"
    progress.take(LOG.format("DETAIL: backup file db1:/base/1/1 (bundle 1/0, 512KB, 12.50%) checksum 0a"))
    progress.take(LOG.format("DETAIL: backup file db1:/base/1/2 (1.5MB, 40.00%) checksum 0b"))
    assert (progress.phase, progress.copied, progress.percent) == ("copying", 2 * 2**20, 40.0)
    progress.take(LOG.format(f"  INFO: new backup label = {FULL}"))
    assert progress.label == FULL and len(progress.lines) == 2  # copied files are not kept


def verified(*ranges, bad=0, extra=()):
    """The log of a verification of the two backups."""
    return [
        *(
            LOG.format(f"DETAIL: archiveId: 17-1, wal start: {wal(first)}, wal stop: {wal(last)}")
            for first, last in ranges
        ),
        *(LOG.format(f"  INFO: invalid checksum '{name}'") for name in extra),
        f"    backup: {FULL}, status: {'invalid' if bad else 'valid'},"
        f" total files checked: 963, total valid files: {963 - bad}",
        f"    backup: {INCR}, status: valid, total files checked: 963, total valid files: 963",
        f"  backup: {INCR}, status: valid, total files checked: 963, total valid files: 963",
        "  archiveId: 17-1, total WAL checked: 6, total valid WAL: 6",
    ]


@pytest.mark.parametrize(
    ("lines", "verdict", "words"),
    [
        (verified((1, 6)), "pass", None),
        (verified((1, 6), bad=1, extra=["F/bundle/1"]), "fail", f"1 of 1932 files .* {FULL} is invalid; .*bundle/1"),
        (verified((1, 1), (3, 6)), "warn", f"WAL between {wal(1)} and {wal(3)} is missing: no restore can stop there"),
        (verified((1, 3), (5, 6)), "fail", f"backup {FULL} cannot be restored"),
        (verified((1, 5)), "fail", f"backup {INCR} cannot be restored"),
        (verified((1, 7), (9, 9)), "fail", "make a full backup now"),
        ([], "fail", "there is no backup to verify"),
        (["  No usable backup.info file"], "fail", "No usable backup.info file"),
    ],
    ids=["sound", "damaged", "old gap", "gap in a full one", "gap at the end", "gap after", "empty", "unreadable"],
)
def test_a_verification_is_judged_by_what_it_says(lines, verdict, words):
    told, sentence = judge(findings(lines), TWO[0].backups)
    assert told == verdict
    assert re.search(words, sentence or "") if words else sentence is None


def test_the_next_timeline_is_no_gap():
    lines = [
        *verified((1, 6)),
        LOG.format(f"DETAIL: archiveId: 17-1, wal start: 00000002{wal(7)[8:]}, wal stop: 00000002{wal(9)[8:]}"),
    ]
    assert judge(findings(lines), TWO[0].backups)[0] == "pass"
