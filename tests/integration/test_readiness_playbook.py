"""readiness.yml as an operator runs it: exit code, summary, reports."""

from __future__ import annotations

import datetime
import json

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Store
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import strings
from playbook import play

POLICY = [{"id": "delivery.rollback.duration", "title": {"en": "Fast rollback", "ko": "빠른 롤백"}, "max_age": "1d"}]


@pytest.fixture
def readiness(tmp_path):
    """Runs the playbook against a store of its own; returns the run."""

    def run(*records, inventory="localhost,", **variables):
        Store(tmp_path / "store").append(records, "run")
        known = {
            "evidence_store": str(tmp_path / "store"),
            "readiness_report_dir": str(tmp_path / "reports"),
            "readiness_policy": POLICY,
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        }
        return play("slipway.ops.readiness", inventory, "-c", "local", timeout=120, **(known | variables))

    return run


def record(hours, **changes):
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=hours)
    return {
        "id": "delivery.rollback.duration",
        "area": "delivery",
        "subject": "sample",
        "claim": "The previous release answers",
        "verdict": "pass",
        "at": timestamp(at),
        "source": "test",
        **changes,
    }


def test_go_exits_zero_and_writes_the_reports(readiness, tmp_path):
    done = readiness(record(1))
    assert done.code == 0, done.output
    assert done.changed == 0, "it looks, and changes nothing"
    assert "GO: Every must-have requirement is proven" in done.stdout
    assert "Fast rollback" in (tmp_path / "reports" / "readiness.html").read_text()
    data = json.loads((tmp_path / "reports" / "readiness.json").read_text())
    assert (data["verdict"], data["overall"]["percent"]) == ("GO", 100)
    assert (tmp_path / "reports" / "readiness.html").resolve().name.startswith("readiness-2")


def test_the_page_is_shown_where_people_look_also_when_it_says_no(readiness, tmp_path):
    done = readiness(record(25), report_host="localhost", report_root=str(tmp_path / "shown"))
    assert done.code != 0 and done.changed == 0, done.output
    assert "NO-GO" in (tmp_path / "shown" / "readiness.html").read_text()


def test_stale_evidence_exits_non_zero_and_is_named_in_the_language_asked_for(readiness, tmp_path):
    done = readiness(record(25), report_language="ko")
    assert done.code != 0
    assert "NO-GO: delivery.rollback.duration" in done.stdout
    assert "빠른 롤백: 기한 경과" in done.stdout
    assert 'lang="ko"' in (tmp_path / "reports" / "readiness.html").read_text()


@pytest.mark.parametrize(
    ("hosts", "required"),
    [
        ("localhost,", set()),
        ("db1", {"data.backup.full", "data.drill.postgresql.rto", "data.*.pool_use"}),
        ("db1 db2", {"data.backup.full", "data.drill.postgresql.rto", "data.postgresql.replication_lag"}),
    ],
)
def test_only_a_system_with_databases_must_prove_them(readiness, tmp_path, hosts, required):
    inventory = tmp_path / "inventory.ini"
    inventory.write_text("[postgresql]\n" + "\n".join(hosts.split()) if required else "")
    done = readiness(inventory=str(inventory), readiness_policy=None)
    assert "NO-GO" in done.stdout, done.output
    policy = {one["id"] for one in json.loads((tmp_path / "reports" / "readiness.json").read_text())["requirements"]}
    assert required <= policy and "infrastructure.*" in policy
    assert bool(required) == any(id.startswith("data.") for id in policy)
    assert ("data.postgresql.replication_lag" in policy) == (hosts == "db1 db2")


def test_an_empty_store_is_no_go(readiness):
    done = readiness()
    assert done.code != 0
    assert "not measured" in done.stdout


def test_a_reason_is_never_a_template_or_an_element(readiness, tmp_path):
    canary = tmp_path / "canary"
    attack = f"<script>alert(1)</script> {{{{ lookup('pipe', 'touch {canary}') }}}}"
    readiness(record(1, verdict="fail", reason=attack, subject=attack))
    text = (tmp_path / "reports" / "readiness.html").read_text()
    assert "<script" not in text
    assert "lookup(&#39;pipe&#39;" in text
    assert not canary.exists()


def test_a_faulty_policy_is_said(readiness):
    done = readiness(record(1), readiness_policy=[{"id": "delivery.rollback.duration", "maxage": "1d"}])
    assert done.code != 0
    assert "no such field: maxage" in done.stdout


def test_an_unknown_language_is_said(readiness):
    done = readiness(record(1), report_language="de")
    assert done.code != 0
    assert f"wanted is one of {', '.join(strings())}" in done.said, done.output
    assert "caused by" not in done.output


def test_a_policy_may_build_on_the_default_one(readiness, tmp_path):
    done = readiness(record(1), readiness_policy="{{ readiness_default_policy + more }}", more=POLICY)
    policy = json.loads((tmp_path / "reports" / "readiness.json").read_text())["requirements"]
    assert len(policy) > 1 and policy[-1]["id"] == POLICY[0]["id"] and policy[-1]["state"] == "pass", done.output
    done = readiness(record(1), readiness_policy="{{ readiness_defalt_policy + more }}", more=POLICY)
    assert done.code != 0 and "readiness_policy cannot be worked out" in done.said, done.output
