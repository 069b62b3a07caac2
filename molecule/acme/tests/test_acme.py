"""Certificates that a host renews by itself, from a real ACME authority, by a real name server, and internal ones."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from machine import until
from playbook import play

SCENARIO = Path(__file__).resolve().parents[1]
STORE = "/etc/slipway/certificates"
SETTINGS = "/etc/slipway/certificates.json"
DIRECTORY = "https://monitor1:14000/dir"
FAILED = 3  # what was to be had could not be


def on_monitor(command: str) -> str:
    argv = ["docker", "exec", "slipway-acme-monitor1", "sh", "-ec", command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


def serial(host, name="www"):
    return host.check_output(f"openssl x509 -noout -serial -in {STORE}/{name}/fullchain.pem")


def metric(host, name):
    text = host.check_output("cat /var/lib/prometheus/node-exporter/slipway_certificate.prom")
    return [line.split()[-1] for line in text.splitlines() if f'renewal_failed{{certificate="{name}"' in line]


def evidence(host, name):
    latest = json.loads(host.check_output("cat /var/lib/slipway/results/latest.json"))
    return next(one for one in latest if one["subject"] == f"{name} on edge1")


@contextmanager
def settings(host, change):
    """The host's settings, changed for a while."""
    before = host.check_output(f"cat {SETTINGS}")
    changed = json.loads(before)
    change(changed, {item["name"]: item for item in changed["certificates"]})
    host.run_expect([0], f"cat > {SETTINGS} <<'E'\n{json.dumps(changed)}\nE")
    try:
        yield
    finally:
        host.run_expect([0], f"cat > {SETTINGS} <<'E'\n{before}\nE")


@contextmanager
def without(unit, run, until="true"):
    """A unit is down for a while; it is back when `until` succeeds, which may be later than the unit is active."""
    run(f"systemctl stop {unit}")
    try:
        yield
    finally:
        run(f"systemctl start {unit}")
        run(f"timeout 50 sh -c 'until {until}; do sleep 0.2; done'")


@pytest.fixture
def refused(host):
    """Has a certificate fail to be renewed: what is said, with the old one kept, told by metric and evidence."""

    tried = set()

    def run(name="www"):
        tried.add(name)
        before = host.check_output(f"sha256sum {STORE}/{name}/fullchain.pem {STORE}/{name}/key.pem")
        ended = host.run(f"slipway-certificates {name} --now")
        assert ended.rc == FAILED, ended.stdout
        assert host.check_output(f"sha256sum {STORE}/{name}/fullchain.pem {STORE}/{name}/key.pem") == before
        assert metric(host, name) == ["1"]
        told = evidence(host, name)
        assert told["verdict"] == "warn" and told["reason"] in ended.stdout
        assert "Traceback" not in ended.stdout + ended.stderr
        return told["reason"]

    yield run
    assert host.run(f"slipway-certificates {' '.join(tried)} --now").rc == 0
    for name in tried:
        assert (metric(host, name), evidence(host, name)["verdict"]) == (["0"], "pass")


def test_clients_verify_what_nginx_serves(host):
    on_monitor("curl -sSk https://127.0.0.1:15000/roots/0 > /root/root.pem")
    for name in ("www", "shop"):
        resolved = on_monitor(f"dig +short {name}.example.test @127.0.0.1").strip()
        code = on_monitor(
            f"curl -sS --cacert /root/root.pem --resolve {name}.example.test:443:{resolved} -o /dev/null"
            f" -w '%{{http_code}}' https://{name}.example.test/"
        )
        assert code == "204"


def test_a_wildcard_is_proven_by_the_zone_and_the_record_is_gone(host):
    text = host.check_output(f"openssl x509 -noout -text -in {STORE}/wild/fullchain.pem")
    assert "DNS:*.example.test" in text and "Issuer: CN=Pebble" in text
    assert on_monitor("dig +short TXT _acme-challenge.example.test @127.0.0.1") == ""


def test_proofs_are_gone_and_keys_are_private(host):
    assert host.check_output("find /run/slipway-acme -type f") == ""
    assert host.run(f"find {STORE} -name '*.next'").stdout == ""
    for path in (
        f"{STORE}/www/key.pem",
        SETTINGS,
        *host.check_output("ls -d /var/lib/slipway/certificates/accounts/*").split(),
    ):
        assert host.file(path).mode == 0o600, path
    assert host.run("journalctl | grep -e c2xpcHdheS1vbmx5 -e 'PRIVATE KEY'").rc == 1


def test_the_timer_renews_what_is_due_and_nothing_else(host):
    """Due here because a name is new; that of the internal authority because of its rest of life."""
    before, inner, wild = serial(host), serial(host, "inner"), serial(host, "wild")
    reloads = host.run("cat /run/listener.reloads").stdout.count("reload")
    host.check_output("systemctl start slipway-certificates.service")
    assert (serial(host), serial(host, "inner"), serial(host, "wild")) == (before, inner, wild)

    def change(all_of_it, items):
        all_of_it["renew_below"] = 91
        items["www"]["names"] = ["shop.example.test"]

    with settings(host, change):
        host.check_output("systemctl start slipway-certificates.service")
    assert serial(host) != before and serial(host, "inner") != inner and serial(host, "wild") == wild
    assert host.run("cat /run/listener.reloads").stdout.count("reload") == reloads + 1
    assert host.run(f"openssl verify {STORE}/inner/fullchain.pem").rc == 0
    host.check_output("systemctl start slipway-certificates.service")
    served = (
        "openssl s_client -connect 127.0.0.1:443 -servername www.example.test </dev/null | openssl x509 -noout -serial"
    )
    assert until(lambda: host.check_output(served) == serial(host)), "nginx has taken it up"


def test_names_that_cannot_be_proven(host, refused):
    with without("nginx", host.check_output):
        reason = refused()
        assert (
            "the authority could not verify" in reason
            and "www.example.test: " in reason
            and "connection refused" in reason
        )
        held = host.run("slipway-certificates www")
        assert held.rc == FAILED and "It is not tried again before" in held.stdout
    with settings(host, lambda _, items: items["www"]["names"].append("stray.example.test")):
        assert "stray.example.test: " in refused()
    with settings(host, lambda _, items: items["www"]["names"].append("blocked.example.test")):
        assert "https://monitor1:14000/dir refused: " in refused()
    with settings(host, lambda _, items: items["www"].update(profile="shortlived")):
        assert "has no profile 'shortlived', but none" in refused()


def test_an_authority_that_is_down(host, refused):
    with without("pebble", on_monitor, until=f"curl --silent --cacert /root/pebble.pem --output /dev/null {DIRECTORY}"):
        assert f"{DIRECTORY} does not answer as an ACME authority" in refused()
    with settings(host, lambda all_of_it, _: all_of_it["acme"].update(ca="")):
        assert "certificate verify failed" in refused()


def test_a_name_server_that_is_down_or_refuses(host, refused):
    with settings(host, lambda _, items: items["wild"]["dns"].update(secret="c29tZXRoaW5nIGVsc2U=")):
        assert "the name server monitor1 port 53" in refused("wild")
    with settings(host, lambda _, items: items["wild"]["dns"].update(port=54)):
        assert "the name server monitor1 port 54 took no update of example.test" in refused("wild")


SECOND = """\
import os, socketserver, dns.flags, dns.message, dns.query, sys
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        asked = dns.message.from_wire(self.rfile.read(int.from_bytes(self.rfile.read(2), "big")))
        told = dns.message.make_response(asked)
        told.flags |= dns.flags.AA
        with open("/run/second.asked", "a") as log:
            print(asked.question[0], file=log, flush=True)
            asks = open(log.name).read().count("TXT")
        if asks >= int(sys.argv[2]):
            told = dns.query.tcp(asked, sys.argv[1], timeout=5)
        wire = told.to_wire()
        self.wfile.write(len(wire).to_bytes(2, "big") + wire)
Server(("127.0.0.2", 53), Answer).serve_forever()
"""


@contextmanager
def second_server(host, follows_from):
    """The zone's second server, which has a record from the so-manieth question for it on."""
    host.run_expect([0], f"cat > /run/second.py <<'E'\n{SECOND}\nE")
    host.check_output("rm -f /run/second.asked")
    monitor = host.check_output("getent ahostsv4 monitor1").split()[0]
    host.check_output(f"systemd-run --unit second-server python3 /run/second.py {monitor} {follows_from}")
    assert until(lambda: "0200007F:0035" in host.check_output("cat /proc/net/tcp"))
    try:
        yield
    finally:
        host.check_output("systemctl stop second-server")


def test_every_server_of_the_zone_has_the_record_before_the_authority_is_told(host):
    before = serial(host, "wild")
    with second_server(host, follows_from=3):
        assert host.run("slipway-certificates wild --now").rc == 0
        assert host.check_output("grep -c TXT /run/second.asked") == "3", "asked until it had it, and no more"
    assert serial(host, "wild") != before


def test_a_server_of_the_zone_that_stays_behind_is_named(host, refused):
    with (
        second_server(host, follows_from=1000),
        settings(host, lambda _, items: items["wild"]["dns"].update(wait=3)),
    ):
        reason = refused("wild")
        assert "after 3 s these name servers of the zone lack it: ns2.example.test (127.0.0.2)" in reason
    assert "_acme-challenge" not in on_monitor("dig +noall +answer @127.0.0.1 TXT _acme-challenge.example.test")


def test_the_internal_authority_refuses_what_the_inventory_does_not_give(host, refused):
    names = "/etc/slipway/certificate-names/edge1.json"
    kept = on_monitor(f"cat {names}")
    on_monitor(f"echo '{{}}' > {names}")
    try:
        assert "the inventory gives edge1, 127.0.0.1 to no host; run site.yml if it should" in refused("inner")
    finally:
        on_monitor(f"cat > {names} <<'E'\n{kept}\nE")
    with without("slipway-authority.socket", on_monitor):
        assert "the authority at monitor1 port 4446 does not answer (Connection refused)" in refused("inner")


def test_nonsense_is_answered_and_the_key_stays_out_of_reach(host):
    said = host.check_output("""python3 -c '
import socket
for line in (b"", b"\\xff" * 100000, b"{}\\n"):
    s = socket.create_connection(("monitor1", 4446), 10)
    try:
        s.sendall(line); s.shutdown(socket.SHUT_WR)
        print(s.makefile("rb").read())
    except OSError:
        print("cut off")
'""")
    assert said.count("the request cannot be read") >= 2
    assert "ca-1" not in on_monitor("grep -rl 'PRIVATE KEY' /run /tmp /var/lib/slipway 2>/dev/null || true")


def test_a_service_that_cannot_reload_is_reloaded_by_the_next_run(host):
    host.check_output("touch /run/listener.refuses")
    ended = host.run("slipway-certificates inner --now")
    assert ended.rc == FAILED and "it is new, but listener could not be reloaded" in ended.stdout
    assert metric(host, "inner") == ["1"]
    reloads = host.run("cat /run/listener.reloads").stdout.count("reload")
    host.check_output("rm /run/listener.refuses")
    assert host.run("slipway-certificates").rc == 0
    assert host.run("cat /run/listener.reloads").stdout.count("reload") == reloads + 1


def test_a_wildcard_without_a_zone_is_refused_before_anything_changes(host):
    run = play(
        SCENARIO / "converge.yml",
        SCENARIO / "inventory.yml",
        certificate_list=[{"name": "www", "source": "acme", "names": ["*.example.test"]}],
    )
    assert run.code != 0 and "*.example.test can be proven by a record of its zone only; it needs dns" in run.said
