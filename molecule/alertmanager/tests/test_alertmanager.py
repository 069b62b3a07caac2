"""People hear of a real fault on every channel, and of a channel that fails on the others."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import testinfra
from playbook import Run, module, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
TOOL = "amtool --alertmanager.url=http://127.0.0.1:9093"
CONFIGURATION = "/etc/prometheus/alertmanager"
CHANNELS = "team, post, oncall, hook, phone, deadman"
SECRETS = "secret-of-(slack|pagerduty|hook|phone)|host1:8081/(hook|deadman)"


@pytest.fixture(scope="module")
def outside():
    return testinfra.get_host("docker://slipway-alertmanager-host1")


def came(outside, kind: str, text: str) -> list[dict[str, Any]]:
    """What arrived outside and has this in it, the oldest first."""
    lines = outside.check_output(f"cat /root/{kind}").splitlines()
    return [json.loads(line) for line in lines if text in line]


def web(outside, path: str, text: str) -> list[dict[str, Any]]:
    return [one for one in came(outside, "web", text) if one["path"].startswith(path)]


def until(look: Callable[[], Any], wanted: Callable[[Any], Any] = bool) -> Any:
    for _ in range(120):
        seen = look()
        if wanted(seen):
            break
        time.sleep(0.5)
    return seen


def converge(**variables: Any) -> Run:
    return play(SCENARIO / "converge.yml", INVENTORY, "--limit", "monitor1", **variables)


def evidence(id: str) -> dict[str, dict[str, Any]]:
    """The newest records of an id, by subject."""
    info = module(INVENTORY, "monitor1", "slipway.ops.evidence_info", ids=[id])
    return {one["subject"]: one for one in info["monitor1"]["records"]}


def test_every_channel_took_a_real_test_and_that_is_evidence(outside):
    slack = web(outside, "/slack", "ChannelTest")[0]
    assert slack["path"] == "/slack/secret-of-slack" and slack["body"]["channel"] == "#ops"
    assert slack["body"]["attachments"][0]["title"] == "info: ChannelTest"
    mail = came(outside, "mail", "ChannelTest")[0]
    assert "ops@example.com" in mail["to"] and mail["subject"] == "info: ChannelTest"
    assert "What to do: Nothing is to be done." in mail["parts"]["text/plain"]
    assert "<strong>This is a test of channel post</strong>" in mail["parts"]["text/html"]
    page = web(outside, "/pagerduty", "ChannelTest")[0]["body"]
    assert page["routing_key"] == "secret-of-pagerduty" and page["payload"]["severity"] == "info"
    assert web(outside, "/hook", "ChannelTest")[0]["login"] == "Bearer secret-of-hook"
    recorded = evidence("monitoring.channels.deliver")["monitor1"]
    assert (recorded["claim"], recorded["verdict"]) == (f"{CHANNELS} take a test alert", "pass")


def test_each_severity_has_its_channels(host):
    routes = {
        severity: host.check_output(f"{TOOL} config routes test severity={severity} alertname=x")
        for severity in ("critical", "warning", "info")
    }
    assert routes == {"critical": "team,post,oncall,hook,phone", "warning": "team,post", "info": "team"}
    assert host.check_output(f"{TOOL} config routes test alertname=x") == "team"  # nobody's severity
    assert host.check_output(f"{TOOL} config routes test severity=info alertname=Watchdog") == "deadman"


def test_the_dead_mans_switch_is_called_again_and_again_and_tells_nobody_else(outside):
    first = len(web(outside, "/deadman", "Watchdog"))
    assert until(lambda: len(web(outside, "/deadman", "Watchdog")), lambda seen: seen >= first + 2) >= first + 2
    assert web(outside, "/slack", "Watchdog") == web(outside, "/hook", "Watchdog") == []


def test_secrets_are_files_that_only_alertmanager_reads_and_stand_nowhere_else(host):
    found = host.check_output(f"stat -c '%a %U' {CONFIGURATION}/secrets/*").splitlines()
    assert found == ["600 prometheus"] * 7
    assert host.run(f"runuser -u games -- ls {CONFIGURATION}/secrets").rc != 0
    assert host.run(f"grep -rE '{SECRETS}' {CONFIGURATION}/alertmanager.yml /etc/systemd").rc == 1
    assert host.run(f"journalctl --no-pager | grep -E '{SECRETS}'").rc == 1
    assert (
        host.run(f"cat /proc/$(systemctl show -P MainPID prometheus-alertmanager)/cmdline | grep -E '{SECRETS}'").rc
        == 1
    )


def test_only_loopback_listens(host, outside):
    assert host.socket("tcp://127.0.0.1:9093").is_listening
    assert outside.run("curl -s -m 5 http://monitor1:9093/-/ready").rc == 7
    assert host.run("ss -ltnu | grep -E ':9094'").rc == 1
    assert host.socket("tcp://127.0.0.1:9096").is_listening
    assert outside.run("curl -s -m 5 http://monitor1:9096/phone").rc == 7


def test_a_real_fault_is_told_on_every_channel_and_so_is_its_end(host, outside):
    assert web(outside, "/", "NodeExporterDown") == came(outside, "mail", "NodeExporterDown") == []
    run = play("alert_test", INVENTORY, alert_test_timeout=60)
    assert run.code == 0, run.output
    assert "NodeExporterDown of host1:" in run.said and "s after the repair" in run.said
    for kind, path in (("slack", "/slack"), ("pagerduty", "/pagerduty"), ("webhook", "/hook")):
        assert web(outside, path, "NodeExporterDown"), kind
    (alert,) = web(outside, "/hook", '"status": "firing"')[-1]["body"]["alerts"]
    assert (alert["labels"]["host"], alert["labels"]["severity"]) == ("host1", "critical")
    assert "systemctl status prometheus-node-exporter" in alert["annotations"]["runbook"]
    message = web(outside, "/sms", "NodeExporterDown")[0]
    assert message["body"]["recipient"] == "+15550100"
    assert message["body"]["message"].startswith("critical: NodeExporterDown on host1. ")
    assert base64.b64decode(message["login"].removeprefix("Basic ")).decode() == "shop:secret-of-phone"
    subjects = [one["subject"] for one in came(outside, "mail", "NodeExporterDown")]
    assert subjects[0] == "critical: NodeExporterDown on host1"
    over = until(lambda: came(outside, "mail", "over: NodeExporterDown on host1"))
    assert "From " in over[0]["parts"]["text/plain"]
    told, gone = (evidence(f"monitoring.alert-test.{what}")["NodeExporterDown"] for what in ("delivered", "resolved"))
    assert told["verdict"] == gone["verdict"] == "pass" and told["unit"] == "s"
    seconds = module(INVENTORY, "monitor1", "slipway.ops.evidence_info", ids=[told["id"]], artifacts=True)["monitor1"]
    (artifact,) = seconds["artifacts"].values()
    by_channel = json.loads(artifact["content"])
    assert (
        by_channel.keys() == {"team", "post", "oncall", "hook", "phone"}
        and max(by_channel.values()) == told["measured"]
    )
    assert outside.service("prometheus-node-exporter").is_running
    assert outside.run("systemctl list-timers --all | grep slipway-alert-test").rc == 1


def test_a_mail_server_that_is_down_is_named_and_the_others_hear_of_it(host, outside):
    outside.check_output("systemctl stop mail-sink")
    try:
        run = converge(alertmanager_repeat_interval="5h")
        assert run.code != 0
        assert "No alert arrives by post: " in run.said and "connection refused" in run.said
        recorded = evidence("monitoring.channels.deliver")["monitor1"]
        assert recorded["verdict"] == "fail"
        assert recorded["reason"].startswith("post: ") and "connection refused" in recorded["reason"]
        told = until(lambda: web(outside, "/hook", "Channel post takes no alerts"))
        assert told[0]["body"]["alerts"][0]["labels"]["alertname"] == "ChannelRefuses"
        tests = len(web(outside, "/hook", "ChannelTest"))
    finally:
        outside.check_output("systemd-run --unit=mail-sink python3 /root/sink.py mail")
    mails = len(came(outside, "mail", "ChannelTest"))
    again = converge(alertmanager_repeat_interval="5h")  # the one that failed is tried again, and no other
    assert again.code == 0, again.output
    assert len(came(outside, "mail", "ChannelTest")) > mails
    assert [one for one in web(outside, "/hook", "ChannelTest")[tests:] if one["body"]["status"] == "firing"] == []
    assert evidence("monitoring.channels.deliver")["monitor1"]["verdict"] == "pass"


def test_nothing_delivered_is_evidence_of_a_failure_and_breaks_nothing(host, outside):
    host.check_output("systemctl stop prometheus-alertmanager")
    try:
        run = play("alert_test", INVENTORY, alert_test_timeout=20)
    finally:
        host.check_output("systemctl start prometheus-alertmanager")
    assert run.code != 0 and "Alertmanager does not answer at" in run.said
    assert evidence("monitoring.alert-test.delivered")["NodeExporterDown"]["verdict"] == "fail"
    assert outside.service("prometheus-node-exporter").is_running


def test_a_look_only_breaks_nothing(outside):
    before = outside.check_output("systemctl show -P ActiveEnterTimestamp prometheus-node-exporter")
    assert play("alert_test", INVENTORY, "--check").code == 0
    assert outside.check_output("systemctl show -P ActiveEnterTimestamp prometheus-node-exporter") == before


def test_a_fault_that_nobody_hears_of_is_repaired_and_is_evidence_of_a_failure(host, outside):
    until(lambda: host.run("curl -s --fail http://127.0.0.1:9093/-/ready").rc, lambda seen: seen == 0)
    silence = host.check_output(f"{TOOL} silence add alertname=NodeExporterDown -d 5m -c test -a test")
    try:
        run = play("alert_test", INVENTORY, alert_test_timeout=30)
    finally:
        host.check_output(f"{TOOL} silence expire {silence}")
    assert run.code != 0 and f"silenced or inhibited by {silence}" in run.said
    assert evidence("monitoring.alert-test.delivered")["NodeExporterDown"]["verdict"] == "fail"
    assert outside.service("prometheus-node-exporter").is_running


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"alertmanager_channels": []}, "no channel gets alerts of severity critical"),
        (
            {"alertmanager_channels": [{"name": "one", "kind": "webhook", "url": "http://host1:8081/hook"}]},
            "critical alerts need 2 channels that are never mute, for one fails some day; there is one",
        ),
        ({"alertmanager_mail_host": ""}, "channel post needs alertmanager_mail_host, the server that takes its mail"),
        ({"alertmanager_inhibit_rules": [{"equal": "host"}]}, "cannot unmarshal"),
    ],
)
def test_what_would_leave_people_unaware_is_refused_and_changes_nothing(host, variables, said):
    before = host.check_output(f"find {CONFIGURATION} -type f -exec sha256sum {{}} + | sort")
    run = converge(**variables)
    assert run.code != 0 and said in run.said, run.output
    assert "secret-of" not in run.output
    assert host.check_output(f"find {CONFIGURATION} -type f -exec sha256sum {{}} + | sort") == before


def test_it_comes_back_when_killed(host):
    host.check_output("systemctl kill --signal=KILL prometheus-alertmanager")
    ready = "curl -s --fail --retry 15 --retry-all-errors --retry-delay 1 http://127.0.0.1:9093/-/ready"
    assert host.run(ready).rc == 0


def test_the_report_goes_out_by_the_same_mail_server_and_is_whole(outside, tmp_path):
    told = {"report_dir": str(tmp_path), "report_mail_to": ["team@example.com"], "report_costs": {"Mail": 5}}
    run = play("report", INVENTORY, period="1h", report_price=10, report_currency="USD", **told)
    assert run.code == 0 and run.changed == 0, run.output
    assert came(outside, "mail", "Operations report 1h")[-1]["to"].endswith("<team@example.com>")
    mail = came(outside, "mail", "Operations report: the last hour")[-1]["parts"]["text/html"]
    assert mail.splitlines() == (tmp_path / "report-1h.html").read_text().splitlines()
    assert "25.00 USD" in mail  # two hosts and the mail
    mails = len(outside.check_output("cat /root/mail").splitlines())
    run = play("report", INVENTORY, alertmanager_mail_tls=True, **told)
    assert run.code != 0 and "No mail was sent: host1:2525 does not take the mail: STARTTLS" in run.said
    run = play("report", INVENTORY, alertmanager_mail_host="", **told)
    assert run.code != 0 and "report_mail_to needs alertmanager_mail_host" in run.said
    assert len(outside.check_output("cat /root/mail").splitlines()) == mails
