"""What is read from the events of a run in check mode."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import validated
from ansible_collections.slipway.ops.plugins.plugin_utils import drift

GOOD = {"changed": 1, "failures": 0, "ok": 3, "unreachable": 0}


def event(kind: str, name: str, **hosts: Any) -> str:
    return json.dumps({"_event": f"v2_runner_on_{kind}", "task": {"name": name}, "hosts": hosts})


def over(**stats: dict[str, int]) -> str:
    return json.dumps({"_event": "v2_playbook_on_stats", "stats": stats})


def read(*lines: str, errors: str = "") -> drift.Comparison:
    return drift.read("\n".join(lines), errors, ["a", "b"])


DIFFS: dict[str, tuple[dict[str, Any], str]] = {
    "a set of files": (
        {
            "changed_paths": ["/etc/x", "/etc/y"],
            "diff": [{"before": "1\n", "after": "1\n2\n", "after_header": "/etc/x"}],
        },
        "/etc/x, /etc/y (+1 -0)",
    ),
    "many": ({"changed_paths": list("vwxyz")}, "v, w, x and 2 more"),
    "one file": (
        {"dest": "/etc/x", "diff": [{"before": "1\n", "after": "2\n", "before_header": "/etc/x (content)"}]},
        "/etc/x (+1 -1)",
    ),
    "units": ({"actions": ["started nginx.service"]}, "started nginx.service"),
    "attributes": ({"path": "/srv", "diff": {"before": {"mode": "0755"}, "after": {"mode": "0700"}}}, "/srv (+1 -1)"),
    "what a module prepared": ({"name": ["htop"], "diff": {"prepared": "+ htop\n"}}, "['htop'] (+1 -0)"),
    "a loop": (
        {
            "results": [
                {"changed": True, "item": "kim"},
                {"changed": False, "item": "lee"},
                {"changed": True, "item": "cho"},
            ]
        },
        "kim, cho",
    ),
    "hidden": ({"censored": "the output has been hidden"}, ""),
    "a header that looks like a line": (
        {"dest": "x", "diff": [{"before": "", "after": "+++ plus\n", "after_header": "x"}]},
        "x (+1 -0)",
    ),
}


@pytest.mark.parametrize("case", DIFFS)
def test_a_difference_is_one_line_that_names_what_and_how_much(case: str) -> None:
    result, told = DIFFS[case]
    found = read(event("ok", "slipway.ops.nginx : Configure", a=result | {"changed": True}), over(a=GOOD, b=GOOD))
    assert [one.line() for one in found.differences] == ["a: nginx: Configure" + (f": {told}" if told else "")]


def test_of_each_host_every_topic_is_recorded_and_all_of_it_may_be_stored() -> None:
    lines = [
        event("ok", "slipway.ops.nginx : Configure", a={"changed": True, "dest": "/etc/x"}),
        event("ok", "nginx : Look", a={"changed": False}, b={"changed": False}),
        event("ok", "Look", b={"changed": False}),
        event("skipped", "slipway.ops.docker : Install", b={"changed": False}),
        over(a=GOOD, b=GOOD),
    ]
    found = read(*lines)
    records = found.records(timestamp(), 1.5)
    assert {(one["subject"], one["id"]): one["verdict"] for one in records} == {
        ("a", "operations.drift.compared"): "pass",
        ("a", "operations.drift.nginx"): "fail",
        ("b", "operations.drift.compared"): "pass",
        ("b", "operations.drift.nginx"): "pass",
        ("b", "operations.drift.playbook"): "pass",
    }
    assert all(validated(one, "run") for one in records)
    assert found.verdict == "fail" and found.sentence() == "1 difference on 1 of 2 hosts"


def test_a_host_that_failed_or_was_away_is_not_compared_and_says_why() -> None:
    away = {"unreachable": 1, "failures": 0}
    lines = [
        event("failed", "slipway.ops.nginx : Check", a={"msg": "no such\nfile", "changed": False}),
        event("unreachable", "Gathering Facts", b={"msg": "no route"}),
        over(a={"failures": 1, "unreachable": 0}, b=away),
    ]
    found = read(*lines)
    assert found.problems == {"a": "nginx: Check: no such file", "b": "playbook: Gathering Facts: no route"}
    assert found.verdict == "unknown"
    assert found.sentence() == "no difference on 0 of 2 hosts; not compared: a, b"


def test_an_error_that_the_play_rescued_is_none() -> None:
    lines = [event("failed", "Try", a={"msg": "no"}), event("ok", "Go on", a={}, b={}), over(a=GOOD, b=GOOD)]
    assert read(*lines).verdict == "pass"


def test_a_run_that_broke_off_or_left_a_host_out_is_no_pass() -> None:
    broken = read(event("ok", "Look", a={}, b={}), errors="ERROR! killed")
    assert set(broken.problems) == {"a", "b"} and "ERROR! killed" in broken.problems["a"]
    left_out = read("skipping: no hosts matched", event("ok", "Look", a={}), over(a=GOOD))
    assert left_out.problems == {"b": "no task was run there; the run said: skipping: no hosts matched"}
    assert read().verdict == "unknown"


def test_what_the_operator_gave_reaches_the_run_and_tags_do_not() -> None:
    given = {
        "inventory": ("/a b/hosts",),
        "extra_vars": ("@secrets.yml", "x=1 2"),
        "subset": "edge",
        "remote_user": "ops",
        "tags": ("some",),
        "skip_tags": ("always",),
        "check": False,
        "become": True,
        "forks": 20,
        "timeout": None,
    }
    told = drift.arguments(given, "site.yml")
    assert told[-3:] == ["--check", "--diff", "site.yml"]
    for option in ("--inventory=/a b/hosts", "--extra-vars=@secrets.yml", "--extra-vars=x=1 2", "--limit=edge"):
        assert option in told
    assert "--user=ops" in told and "--become" in told and not any("tags" in one for one in told)
