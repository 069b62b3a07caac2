"""The rules of a site, and what is kept of an event."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.edge.waf import waf_problems, waf_rules
from ansible_collections.slipway.ops.plugins.module_utils.edge.waf_events import Reader, attack, masked


def site(**waf):
    return {"name": "shop", "locations": [{"path": "/"}, {"path": "/upload", "body_size": "2m"}], "waf": waf}


def test_a_site_has_its_mode_and_room_for_its_largest_body():
    rules = waf_rules(site(mode="block"), "64k").splitlines()
    assert "SecRuleEngine On" in rules
    assert f"SecRequestBodyLimit {2 * 2**20}" in rules
    assert f"SecRequestBodyNoFilesLimit {2 * 2**20}" in rules
    assert "SecRuleEngine DetectionOnly" in waf_rules(site(mode="detect"), "64k")


@pytest.mark.parametrize(
    ("sizes", "limit"), [(["64k"], 65536), (["0"], 2**30), (["1m", "0"], 2**30), (["5g"], 2**30), (["10", "2K"], 2048)]
)
def test_bodies_that_nginx_lets_through_are_read(sizes, limit):
    own = {"name": "s", "locations": [{"path": "/", "body_size": size} for size in sizes], "waf": {"mode": "block"}}
    assert f"SecRequestBodyLimit {limit}\n" in waf_rules(own, sizes[0])


def test_a_size_that_nginx_does_not_know_is_named():
    with pytest.raises(ValueError, match="body_size '1 MiB' is no size of nginx'"):
        waf_rules({"name": "s", "locations": [], "waf": {"mode": "block"}}, "1 MiB")


def test_paranoia_and_threshold():
    settings = waf_rules(site(mode="block", paranoia=3, threshold=12), "1m")
    assert "setvar:tx.blocking_paranoia_level=3,setvar:tx.detection_paranoia_level=3" in settings
    assert "setvar:tx.inbound_anomaly_score_threshold=12" in settings
    assert "threshold" not in waf_rules(site(mode="block"), "1m")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"rules": ["942100", "941000-941999"]}, "SecRuleRemoveById 942100 941000-941999"),
        (
            {"rules": ["942100"], "path": "/a"},
            'SecRule REQUEST_FILENAME "@beginsWith /a" "id:10001,phase:1,pass,t:none,nolog,ctl:ruleRemoveById=942100"',
        ),
        (
            {"rules": [942100, 942200], "parameter": "ARGS:q"},
            'SecAction "id:10001,phase:1,pass,t:none,nolog,'
            'ctl:ruleRemoveTargetById=942100;ARGS:q,ctl:ruleRemoveTargetById=942200;ARGS:q"',
        ),
        (
            {"path": "/raw"},
            'SecRule REQUEST_FILENAME "@beginsWith /raw" "id:10001,phase:1,pass,t:none,nolog,ctl:ruleEngine=Off"',
        ),
    ],
)
def test_an_exclusion_is_as_narrow_as_it_says(given, line):
    rules = waf_rules(site(mode="block", exclusions=[given | {"reason": "A\nreason"}]), "1m").splitlines()
    assert rules[rules.index(line) - 2] == "# A reason"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rules": ["942100"]}, "no reason"),
        ({"rules": ["942100"], "reason": " "}, "no reason"),
        ({"rules": ["sqli"], "reason": "x"}, "sqli is neither a rule's number nor a range"),
        ({"path": "notes", "rules": ["1"], "reason": "x"}, "path 'notes' does not begin with /"),
        ({"path": '/a" "id:1', "rules": ["1"], "reason": "x"}, "does not begin with / or has blanks, quotes"),
        ({"parameter": "ARGS:a,deny", "rules": ["1"], "reason": "x"}, "is none of ModSecurity's"),
        ({"parameter": "ARGS:a", "rules": ["1-9"], "reason": "x"}, "needs the numbers of single rules"),
        ({"parameter": "ARGS:a", "reason": "x"}, "needs the numbers of single rules"),
        ({"reason": "x"}, "neither rules nor path"),
    ],
)
def test_what_cannot_be_meant_is_said(given, said):
    problems = waf_problems([site(mode="block", exclusions=[given])], enabled=True)
    assert any(said in problem and problem.startswith("shop: ") for problem in problems), problems


def test_a_guarded_site_needs_the_role():
    assert waf_problems([site(mode="block")], enabled=True) == []
    assert waf_problems([{"name": "plain", "locations": []}], enabled=False) == []
    assert waf_problems([site(mode="block")], enabled=False) == [
        "shop: waf needs role waf on this host; set waf_enabled: true"
    ]


def transaction(engine="Enabled", status=403, *rules):
    """As ModSecurity 3.0.14 writes it."""
    messages = [
        {
            "message": text,
            "details": {"ruleId": number, "match": match, "data": data, "tags": tags},
        }
        for number, text, match, data, tags in rules
    ]
    return {
        "transaction": {
            "client_ip": "203.0.113.77",
            "unique_id": "abc",
            "request": {
                "method": "GET",
                "uri": "/a?password=hunter2",
                "headers": {"HOST": "shop.test", "Cookie": "id=7"},
            },
            "response": {"http_code": status},
            "producer": {"secrules_engine": engine},
            "messages": messages,
        }
    }


XSS = (
    "941100",
    "XSS Attack Detected via libinjection",
    "detected XSS using libinjection.",
    "Matched Data: XSS data found within ARGS:q: <script>hunter2</script>",
    ["attack-xss"],
)
SCRIPT = (
    "941110",
    "Script Tag Vector",
    "Matched \"Operator `Rx' with parameter `x' against variable `ARGS:q' (Value: `hunter2' )",
    "Matched Data: hunter2 found within ARGS:q: hunter2",
    ["attack-xss"],
)
SUM = ("949110", "Inbound Anomaly Score Exceeded (Total Score: 20)", "", "", ["anomaly-evaluation"])


def test_an_event_tells_what_and_where_and_not_what_was_sent():
    event = masked(transaction("Enabled", 403, XSS, SCRIPT, SUM))
    assert event is not None
    assert (event["action"], event["status"], event["score"]) == ("blocked", 403, 20)
    assert (event["client"], event["host"], event["path"]) == ("203.0.113.0/24", "shop.test", "/a")
    assert [(rule["id"], rule["where"]) for rule in event["rules"]] == [("941100", "ARGS:q"), ("941110", "ARGS:q")]
    assert attack(event) == "xss"
    assert "hunter2" not in json.dumps(event)
    assert "id=7" not in json.dumps(event)


def test_a_long_name_is_what_somebody_typed():
    typed: tuple[Any, ...] = ("1", "x", f"against variable `ARGS:{'hunter2' * 8}' (", "", [])
    assert "hunter2" not in json.dumps(masked(transaction("Enabled", 403, typed)))


def test_addresses_are_whole_where_that_is_asked_for():
    event = masked(transaction("Enabled", 403, XSS), masks_client=False)
    assert event is not None
    assert event["client"] == "203.0.113.77"
    told = transaction("Enabled", 403, XSS)
    told["transaction"]["client_ip"] = "2001:db8:1:2::3"
    event = masked(told)
    assert event is not None
    assert event["client"] == "2001:db8:1::/48"


@pytest.mark.parametrize(
    ("engine", "status", "action"),
    [
        ("DetectionOnly", 200, "detected"),
        ("DetectionOnly", 403, "detected"),
        ("Enabled", 200, "detected"),
        ("Enabled", 400, "blocked"),
    ],
)
def test_only_what_was_refused_is_called_blocked(engine, status, action):
    event = masked(transaction(engine, status, XSS))
    assert event is not None
    assert event["action"] == action


def test_a_request_that_no_rule_matched_is_no_event():
    assert masked(transaction("Enabled", 500)) is None


@pytest.fixture
def reader(tmp_path):
    place = tmp_path / "events" / "20261129" / "20261129-2105"
    place.mkdir(parents=True)
    (tmp_path / "metrics").mkdir()
    return Reader(tmp_path / "events", tmp_path / "state.json", tmp_path / "metrics/waf.prom", io.StringIO())


def put(reader, name, content):
    path = reader.directory / "20261129" / "20261129-2105" / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_each_file_is_told_once_counted_and_removed(reader):
    first = put(reader, "1", transaction("Enabled", 403, XSS))
    put(reader, "2", transaction("DetectionOnly", 200, XSS))
    put(reader, "3", transaction("Enabled", 200))
    assert reader.turn(first.stat().st_mtime) == 3
    assert len(reader.out.getvalue().splitlines()) == 2
    assert not first.exists()
    told = reader.textfile.read_text(encoding="utf-8")
    assert 'slipway_waf_events_total{action="blocked",attack="xss"} 1\n' in told
    assert 'slipway_waf_events_total{action="detected",attack="xss"} 1\n' in told
    again = Reader(reader.directory, reader.state, reader.textfile, io.StringIO())
    put(again, "4", transaction("Enabled", 403, XSS))
    again.turn(first_moment := 2_000_000_000.0)
    assert 'action="blocked",attack="xss"} 2\n' in again.textfile.read_text(encoding="utf-8")
    assert f"checked_timestamp_seconds {first_moment:.0f}\n" in again.textfile.read_text(encoding="utf-8")


def test_a_file_that_is_being_written_is_waited_for_and_then_counted_as_unread(reader):
    half = put(reader, "1", '{"transaction": {')
    written = half.stat().st_mtime
    assert reader.turn(written + 5) == 0
    assert half.exists()
    assert reader.turn(written + 11) == 1
    assert not half.exists()
    assert "slipway_waf_unread_total 1\n" in reader.textfile.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", ["[]", "null", '{"transaction": {"request": 1}}', '{"transaction": []}'])
def test_nonsense_is_counted(reader, content):
    written = put(reader, "1", content).stat().st_mtime
    assert reader.turn(written + 11) == 1
    assert reader.unread == 1


def test_no_link_is_followed(reader, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(json.dumps(transaction("Enabled", 403, XSS)), encoding="utf-8")
    (reader.directory / "20261129" / "file").symlink_to(secret)
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "1"
    other.write_text("x", encoding="utf-8")
    (reader.directory / "directory").symlink_to(tmp_path / "elsewhere")
    reader.turn(2_000_000_000.0)
    assert secret.exists()
    assert other.exists()
    assert reader.out.getvalue() == ""


def test_minutes_that_are_over_go_and_a_new_one_stays(reader):
    now = (reader.directory / "20261129").stat().st_mtime
    reader.turn(now + 10)
    assert (reader.directory / "20261129" / "20261129-2105").is_dir()
    reader.turn(now + 400)
    assert list(reader.directory.iterdir()) == []


def test_a_host_without_node_exporter_is_no_error(reader):
    reader.textfile.parent.rmdir()
    put(reader, "1", transaction("Enabled", 403, XSS))
    assert reader.turn(2_000_000_000.0) == 1
