"""What a host writes arrives at the log host, once the log host is there again, and nobody else's does."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import testinfra
from playbook import Run, attempt, module, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
METRICS = "/var/lib/prometheus/node-exporter"
CURL = "curl -s -m 20 -o /dev/null -w '%{http_code}' -H 'Content-Type: application/vnd.fdo.journal'"


@pytest.fixture(scope="module")
def sender():
    return testinfra.get_host("docker://slipway-logs-host1")


def until(look: Callable[[], Any], wanted: Callable[[Any], bool], looks: int = 240) -> Any:
    for _ in range(looks):
        seen = look()
        if wanted(seen):
            break
        time.sleep(0.25)
    return seen


def stored(host, text: str, sender: str = "host1") -> list[str]:
    found = host.run(
        f"journalctl --quiet --file='/var/log/journal/remote/{sender}*.journal' --output=cat --grep='{text}'"
    )
    return found.stdout.splitlines()


def arrives(host, text: str) -> list[str]:
    return until(lambda: stored(host, text), bool)


def metrics(host) -> dict[str, float]:
    text = host.check_output(f"cat {METRICS}/slipway_logs_*.prom")
    return {name: float(value) for name, value in re.findall(r"^(slipway_\S+) (\S+)$", text, re.MULTILINE)}


def measure(host, unit: str) -> None:
    """Measures what is there now: a run of the timer that is under way began before."""
    state = until(lambda: host.check_output(f"systemctl show -P ActiveState {unit}"), lambda seen: seen != "activating")
    assert state != "activating"
    host.check_output(f"systemctl reset-failed {unit}; systemctl start {unit}")  # more often than its timer would


def lost(sender) -> float:
    measure(sender, "slipway-logs-upload.service")
    return metrics(sender)["slipway_logs_lost_entries_total"]


def upload(sender, fields: str) -> None:
    """An entry of the sender's own making, as only who has its certificate can send one."""
    own, boot = "/etc/slipway/certificates/logs", "$(tr -d - < /proc/sys/kernel/random/boot_id)"
    head = f"__REALTIME_TIMESTAMP=$(date +%s)000000\n__MONOTONIC_TIMESTAMP=1\n_BOOT_ID={boot}"
    sender.check_output(f"cat > /root/entry <<END\n{head}\n{fields}\n\nEND")
    to = f"--cacert {own}/chain.pem --cert {own}/fullchain.pem --key {own}/key.pem https://log1:19532/upload"
    assert sender.check_output(f"{CURL} {to} --data-binary @/root/entry") == "202"


def events(host) -> dict[str, float]:
    """How many of each kind host1 has had."""
    measure(host, "slipway-logs-events.service")
    begin = 'slipway_logs_events_total{sender="host1",kind="'
    return {name[len(begin) : -2]: number for name, number in metrics(host).items() if name.startswith(begin)}


def ask(**variables: Any) -> Run:
    return play("logs", INVENTORY, **variables)


def test_the_journal_and_files_arrive(host, sender):
    sender.check_output("logger -t shop -p user.err 'an order was lost'")
    sender.check_output('echo \'{"status":200,"path":"/first"}\' >> /var/log/nginx/access.log')
    assert arrives(host, "an order was lost") == ["an order was lost"]
    assert arrives(host, '"/first"') == ['{"status":200,"path":"/first"}']


def test_a_file_that_is_rotated_while_nobody_follows_it_is_read_to_its_end(host, sender):
    log = "/var/log/nginx/access.log"
    sender.check_output(f"echo rotated-0 >> {log}")
    assert arrives(host, "rotated-0")
    sender.check_output("systemctl stop slipway-logs-files")
    sender.check_output(f"echo rotated-1 >> {log} && mv {log} {log}.1 && echo rotated-2 > {log}")
    sender.check_output("systemctl start slipway-logs-files")
    sender.check_output(f"echo rotated-3 >> {log}")
    seen = until(lambda: stored(host, "rotated-"), lambda lines: len(lines) == 4)
    assert seen == ["rotated-0", "rotated-1", "rotated-2", "rotated-3"]


def test_what_is_written_while_the_log_host_is_down_arrives_afterwards(host, sender):
    before = lost(sender)
    host.check_output("systemctl stop slipway-logs-door 'slipway-logs-store@*'")
    sender.check_output("for n in $(seq 5000); do echo outage-$n; done | systemd-cat -t outage && journalctl --sync")
    sender.check_output("systemctl kill --signal=KILL systemd-journal-upload || true")
    assert lost(sender) == before and metrics(sender)["slipway_logs_waiting_entries"] > 5000
    assert stored(host, "outage-") == []
    sockets = " ".join(f"slipway-logs-store@{name}.socket" for name in ("host1", "log1"))
    host.check_output(f"systemctl start {sockets} slipway-logs-door")
    sent = {f"outage-{number}" for number in range(1, 5001)}
    assert set(until(lambda: stored(host, "outage-"), lambda lines: sent <= set(lines))) == sent
    assert len(stored(host, "outage-")) == 5000
    until(lambda: sender.run("slipway-logs-upload --check").stdout, lambda said: said.startswith("0 entries"))
    assert lost(sender) == before


def test_what_the_journal_drops_before_it_was_sent_is_counted(host, sender):
    before = lost(sender)
    sender.check_output("systemctl stop systemd-journal-upload")
    sender.check_output("for n in $(seq 2000); do echo gone-$n; done | systemd-cat -t gone && journalctl --sync")
    sender.check_output("journalctl --rotate && journalctl --vacuum-size=1")
    there = sender.run("journalctl --quiet --output=cat --grep=gone-").stdout
    gone = lost(sender) - before
    sender.check_output("systemctl start systemd-journal-upload")
    assert there == "" and gone >= 2000
    until(lambda: sender.run("slipway-logs-upload --check").stdout, lambda said: said.startswith("0 entries"))
    assert lost(sender) == before + gone


def test_who_has_no_certificate_of_the_house_is_refused(host, sender):
    sender.check_output("journalctl --lines=3 --output=export > /root/export")
    own = "/etc/slipway/certificates/logs"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=host1"
    sender.check_output(f"{make} -keyout /root/wrong.key -out /root/wrong.pem")
    to = f"--cacert {own}/chain.pem https://log1:19532/upload --data-binary @/root/export"
    assert sender.run(f"{CURL} {to}").stdout == "000"
    assert sender.run(f"{CURL} --cert /root/wrong.pem --key /root/wrong.key {to}").stdout == "000"
    assert sender.run(f"{CURL} --cert {own}/fullchain.pem --key {own}/key.pem {to}").stdout == "202"


def test_a_host_cannot_write_in_anothers_name(host, sender):
    upload(sender, "_HOSTNAME=log1\nMESSAGE=I am log1")
    assert arrives(host, "I am log1") == ["I am log1"]
    assert stored(host, "I am log1", sender="log1") == []


def test_only_the_log_host_listens(host, sender):
    listening = [socket for socket in host.socket.get_listening_sockets() if "127.0.0.11" not in socket]
    assert [one for one in listening if one.startswith(("tcp", "udp"))] == ["tcp://0.0.0.0:19532"]
    theirs = [socket for socket in sender.socket.get_listening_sockets() if "127.0.0.11" not in socket]
    assert [one for one in theirs if one.startswith(("tcp", "udp"))] == []
    assert host.run("runuser -u games -- curl -s --unix-socket /run/slipway-logs/host1.sock http://x/upload").rc == 7


def test_trouble_is_counted_by_host_and_kind(host, sender):
    before = events(host)
    sender.check_output('for s in 500 502 404 200; do echo "{\\"status\\":$s}" >> /var/log/nginx/access.log; done')
    sender.check_output("logger -t sshd-session 'Failed password for root from 192.0.2.7 port 40022 ssh2'")
    sender.check_output("logger -t kernel 'Out of memory: Killed process 7 (forged by a user)'")
    upload(sender, "_TRANSPORT=kernel\nMESSAGE=Out of memory: Killed process 4242 (shop) total-vm:1kB")
    sender.check_output("logger -t last all-of-it")
    assert arrives(host, "all-of-it") and arrives(host, '"status":200}')
    after = events(host)
    counted = {kind: number - before[kind] for kind, number in after.items()}
    assert counted == {"http_5xx": 2, "authentication_failure": 1, "out_of_memory": 1, "suppressed": 0}
    assert events(host) == after  # each once


def test_the_verb_finds_by_host_service_priority_time_and_text(host, sender):
    sender.check_output("logger -t shop -p user.err 'Payment (4711) refused'")
    sender.check_output("logger -t shop -p user.info 'Payment (4712) taken'")
    arrives(host, "4712")
    found = ask(logs_of="host1", logs_service="shop", logs_text="payment (47", logs_since="10 minutes ago")
    assert found.code == 0 and "shop: Payment (4711) refused" in found.said and "2 entries" in found.said
    worse = ask(logs_service="shop", logs_priority="err", logs_text="payment")
    assert "4711" in worse.said and "4712" not in worse.said
    one = ask(logs_service="shop", logs_text="payment", logs_limit=1)
    assert "4712" in one.said and "4711" not in one.said and "1 entries, the newest of more" in one.said
    nothing = ask(logs_text="never written", logs_until="yesterday")
    assert nothing.code == 0 and "nothing found" in nothing.said


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"logs_of": "hots1"}, "there are no entries of hots1; did you mean host1?"),
        ({"logs_service": "shopp"}, "no entry is of a service shopp; did you mean shop?"),
        ({"logs_since": "the other day"}, "since is the other day: say it as"),
        ({"logs_priority": "bad"}, "value of priority must be one of"),
        ({"logs_text": "x", "logs_limit": 0}, "limit is 0"),
    ],
)
def test_the_verb_says_what_makes_no_sense(host, variables, said):
    run = ask(**variables)
    assert run.code != 0 and said in run.said and "Traceback" not in run.output


def test_health_tells_a_host_that_sends_nothing(host, sender):
    assert host.run("slipway-logs-events --check").rc == 0
    state = "/var/lib/slipway/logs/events.json"
    saved = json.loads(host.check_output(f"cat {state}"))
    saved["host1"] |= {"newest": 1}
    sender.check_output("systemctl stop systemd-journal-upload slipway-logs-upload.timer")
    try:
        events(host)
        saved["host1"]["cursor"] = json.loads(host.check_output(f"cat {state}"))["host1"]["cursor"]
        host.check_output(f"cat > {state} <<'END'\n{json.dumps(saved)}\nEND")
        checked = host.run("slipway-logs-events --check")
        assert checked.rc == 1 and "no entries of the last 300 s from host1" in checked.stderr
    finally:
        sender.check_output("systemctl start systemd-journal-upload slipway-logs-upload.timer")


def test_health_tells_a_sender_whose_logs_have_nowhere_to_go(host):
    host.check_output("systemctl stop slipway-logs-store@host1.socket slipway-logs-store@host1.service")
    try:
        health = play("health", INVENTORY)
    finally:
        host.check_output("systemctl start slipway-logs-store@host1.socket")
    assert health.code != 0
    assert "fail log1: logs of host1 monitoring.logs.store inactive" in health.said, health.output


def test_size_bounds_what_is_kept(host, sender):
    sender.check_output("head -c 70000000 /dev/urandom | base64 -w 3000 > /var/log/nginx/access.log")
    sender.check_output("echo after-the-flood >> /var/log/nginx/access.log")
    seen = until(lambda: stored(host, "after-the-flood"), bool, looks=960)
    assert seen == ["after-the-flood"]
    host.check_output("systemctl start slipway-logs-retention.service")
    used = int(host.check_output("du -sm /var/log/journal/remote").split()[0])
    assert used <= 64 + 2 * 16


def test_a_certificate_that_is_not_there_is_refused_before_anything_changes():
    run = play(SCENARIO / "converge.yml", INVENTORY, certificate_list=[])
    assert run.code != 0
    assert "certificate_list of host1 has no logs" in run.said


def test_it_comes_back_when_killed(host, sender):
    host.check_output("systemctl kill --signal=KILL slipway-logs-door slipway-logs-store@host1.service")
    sender.check_output("systemctl kill --signal=KILL systemd-journal-upload slipway-logs-files")
    sender.check_output("logger still-here && echo still-there >> /var/log/nginx/access.log")
    assert arrives(host, "still-here") and arrives(host, "still-there")


def test_the_module_reads_what_it_is_given(host):
    answer = module(INVENTORY, "log1", "slipway.ops.logs_info", hosts=["host1"], limit=3)["log1"]
    assert len(answer["lines"]) == 3 and answer["more"] is True
    code, refused = attempt(INVENTORY, "log1", "slipway.ops.logs_info", {"directory": "/nowhere"})
    assert code != 0 and "/nowhere has no entries of any host" in refused["log1"]["msg"]
