"""HTTP/3, which is off until it is asked for: the same answers, headers and limits, and no door without it."""

from __future__ import annotations

import json

import pytest
from edge_client import CA, HEADERS, LOG, SCENARIO, Answer, converge, site
from machine import crowding, until
from playbook import play

OVER = "--http3-only"
OFFER = ['h3=":443"; ma=86400']
KEY = "/etc/nginx/quic.key"


def ask(host, path="/", *options, name="www.example.test"):
    return Answer(host, f"https://{name}{path}", *options)


def heard(host, *request):
    """An answer. Whose upload is refused may see the connection end before he hears why, and whose first packet comes
    to a worker that shuts down after a reload is not heard at all; he asks again."""
    answers = []

    def answered() -> bool:
        answers[:] = [ask(host, *request)]
        return not answers[0].code

    assert until(answered, 30 * crowding()), answers[0].command
    return answers[0]


def listens(host):
    """What waits for anybody on UDP 443."""
    return host.check_output("ss -Hlun 'sport = :443'").splitlines()


@pytest.fixture(scope="module")
def edge(host):
    """The edge with HTTP/3; before and after, there is nothing of it."""
    assert listens(host) == []
    assert "alt-svc" not in ask(host).headers
    run = converge(nginx_http3=True)
    assert run.code == 0, run.said[-3000:]
    again = converge(nginx_http3=True)
    assert (again.code, again.changed) == (0, 0), again.said[-3000:]
    assert until(lambda: not ask(host, "/", OVER).code, 15 * crowding())
    yield host
    assert converge().code == 0
    assert until(lambda: listens(host) == [], 15 * crowding())
    assert ask(host, "/", OVER).code == 7
    assert "alt-svc" not in ask(host).headers


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/", "", 200),
        ("/static/page/", "", 200),
        ("/old", "", 308),
        ("/private", "", 403),
        ("/missing", "", 404),
        ("/", "--data-binary @/usr/bin/curl", 413),
        ("/gone", "", 502),
    ],
)
def test_an_answer_is_the_same_over_each_protocol(edge, path, options, status):
    answers = {over: heard(edge, path, f"--{over}", options) for over in ("http3-only", "http2", "http1.1")}
    assert [answer.protocol for answer in answers.values()] == ["HTTP/3", "HTTP/2", "HTTP/1.1"]
    for answer in answers.values():
        assert answer.status == status
        assert {name: answer.headers.get(name) for name in HEADERS} == {
            name: [value] for name, value in HEADERS.items()
        }
        assert (answer.headers["alt-svc"], answer.headers["server"]) == (OFFER, ["nginx"])
    assert answers["http3-only"].headers.keys() == answers["http2"].headers.keys()


def test_a_location_with_headers_of_its_own_offers_it_too(edge):
    headers = ask(edge, "/app/", OVER).headers
    assert headers["content-security-policy"] == ["default-src 'self' https://cdn.example.test"]
    assert (headers["alt-svc"], headers["x-frame-options"]) == (OFFER, ["SAMEORIGIN"])


def test_a_client_that_was_offered_it_takes_it(edge):
    kept = "--alt-svc /tmp/alt-svc"
    edge.check_output("rm -f /tmp/alt-svc")
    assert [ask(edge, "/", kept).protocol for _ in range(2)] == ["HTTP/2", "HTTP/3"]


def test_plain_http_offers_nothing(edge):
    assert "alt-svc" not in Answer(edge, "http://www.example.test/").headers


def test_the_client_is_who_asks_and_the_log_says_how(edge):
    answer = ask(edge, "/http3", OVER, "--interface 127.7.0.1", "-H 'X-Forwarded-For: 6.6.6.6'")
    seen = json.loads(answer.body)["headers"]
    assert (seen["x-forwarded-for"], seen["x-real-ip"], seen["host"]) == ("127.7.0.1", "127.7.0.1", "www.example.test")
    identity = answer.headers["x-request-id"][0]
    assert until(lambda: identity in edge.file(LOG).content_string)
    line = next(
        line for line in map(json.loads, edge.file(LOG).content_string.splitlines()) if line["request_id"] == identity
    )
    assert (line["protocol"], line["client"], line["tls"]) == ("HTTP/3.0", "127.7.0.1", "TLSv1.3")


def test_limits_count_a_client_whatever_it_speaks(edge):
    client = "--interface 127.7.0.2"
    curl = f"curl -sS --max-time 10 --resolve www.example.test:443:127.0.0.1 {client} -o /dev/null -w '%{{http_code}} '"
    both = " && ".join(f"{curl} {over} https://www.example.test/login" for over in ("--http2", OVER))
    # In one command: every ten seconds one more may come.
    statuses = [int(code) for code in edge.check_output(f"for n in 1 2 3 4; do {both} || exit 1; done").split()]
    assert statuses[0] == 200 and statuses[5:] == [429] * 3
    refused = ask(edge, "/login", OVER, client)
    assert (refused.status, refused.headers["retry-after"], refused.lacks()) == (429, ["60"], {})
    assert "<h1>429</h1>" in refused.body
    assert ask(edge, "/login", OVER, "--interface 127.7.0.3").status == 200


@pytest.mark.parametrize(("http3", "doors"), [(False, ["tcp 80", "tcp 443"]), (True, ["tcp 80", "tcp 443", "udp 443"])])
def test_the_firewall_opens_its_door_with_it_and_only_then(http3, doors):
    run = play(SCENARIO / "doors.yml", SCENARIO / "inventory.yml", nginx_http3=http3, doors=doors)
    assert run.code == 0, run.said[-3000:]


def test_a_name_of_nobodys_gets_no_answer(edge):
    assert ask(edge, "/", OVER, "-k", name="other.test").code != 0


def test_each_worker_has_one_socket_of_each_address(edge):
    """However many sites: a second one would take packets that nobody reads."""
    workers = len(edge.check_output("pgrep --full '^nginx: worker process$'").split())
    assert len(listens(edge)) == workers * (2 if edge.file("/proc/net/if_inet6").exists else 1)


def test_nothing_is_taken_before_the_handshake_has_ended(edge):
    """What is sent with the first packet can be sent again by whoever saw it."""
    told = edge.check_output(
        "printf 'GET / HTTP/1.1\\r\\nHost: www.example.test\\r\\nConnection: close\\r\\n\\r\\n' | "
        f"openssl s_client -connect 127.0.0.1:443 -servername www.example.test -CAfile {CA} -tls1_3 -ign_eof 2>&1"
    )
    assert "Max Early Data: 0" in told, told[-2000:]


def test_the_key_outlives_a_reload_and_is_nobody_elses(edge):
    before = edge.check_output(f"sha256sum {KEY}")
    assert (edge.file(KEY).mode, edge.file(KEY).user, edge.file(KEY).size) == (0o600, "root", 32)
    assert converge(nginx_http3=True, nginx_body_size="65k").code == 0
    assert until(lambda: not ask(edge, "/", OVER).code, 15 * crowding())
    assert edge.check_output(f"sha256sum {KEY}") == before


def test_a_download_ends_at_a_reload_and_does_not_hang(edge):
    """nginx cannot carry it over; the client hears so at once, and can ask again."""
    edge.check_output("head -c 20000000 /dev/zero > /var/www/site/static/large")
    command = f"curl -sS --max-time 600 {OVER} --limit-rate 1M --resolve www.example.test:443:127.0.0.1 -o /tmp/large"
    edge.check_output(
        f"setsid sh -c '{command} https://www.example.test/static/large; echo $? > /tmp/ended' >/dev/null 2>&1 & "
    )
    assert until(lambda: edge.run("test -s /tmp/large").rc == 0, 15 * crowding())
    edge.check_output("systemctl reload nginx")
    assert until(lambda: edge.run("test -s /tmp/ended").rc == 0, 60)  # of the 600 s that it would wait
    assert until(lambda: not ask(edge, "/", OVER).code, 15 * crowding())
    edge.check_output("rm -f /tmp/large /tmp/ended /var/www/site/static/large")


def test_a_site_that_is_behind_a_network_is_not_offered_past_it(edge):
    locations = [{"path": "/", "pool": "127.0.0.1:18000"}]
    sites = [
        site(certificate={"name": "public"}, only_proxies=True, locations=locations),
        site(name="busy", domains=["busy.example.test"], certificate={"name": "public"}, locations=locations),
    ]
    variables = {"nginx_sites": sites, "nginx_trusted_proxies": ["127.0.0.1"], "nginx_pool_tls": []}
    assert converge(nginx_http3=True, **variables).code == 0
    assert "alt-svc" not in ask(edge).headers
    assert ask(edge, "/", OVER).code != 0
    assert until(lambda: not ask(edge, "/", OVER, name="busy.example.test").code, 15 * crowding())
    assert converge(nginx_http3=True).code == 0


def test_another_program_on_the_port_is_named(edge):
    """Its own sockets nginx may have."""
    holder = edge.check_output(
        "setsid python3 -c 'import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); "
        's.bind(("127.0.0.1", 8443)); time.sleep(600)\' >/dev/null 2>&1 & echo $!'
    )
    try:
        assert until(lambda: edge.check_output("ss -Hlun 'sport = :8443'") != "", 15 * crowding())
        run = converge(nginx_http3=True, nginx_https_port=8443, nginx_addresses=["127.0.0.1"])
        assert run.code != 0 and "127.0.0.1:8443 (UDP) is in use by python3 (pid" in run.said, run.said[-2000:]
    finally:
        edge.run(f"kill {holder}")
    assert heard(edge, "/", OVER).status == 200


def test_an_nginx_without_it_is_refused_before_anything_changes(edge):
    """Such as Debian 12's."""
    edge.check_output(
        "printf '#!/bin/sh\\necho nginx version: nginx/1.22.1; echo configure arguments: --with-http_ssl_module\\n' "
        "> /usr/local/sbin/nginx && chmod 755 /usr/local/sbin/nginx"
    )
    try:
        run = converge(nginx_http3=True)
    finally:
        edge.check_output("rm /usr/local/sbin/nginx")
    assert run.code != 0 and run.changed == 0
    assert "nginx_http3 is on, and the nginx 1.22.1 of this host was not built with HTTP/3" in run.said
    assert heard(edge, "/", OVER).status == 200
