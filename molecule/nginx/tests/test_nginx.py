"""nginx as its clients see it: headers on every answer, limits, TLS, streams; and what must be refused."""

from __future__ import annotations

import json
import subprocess
import time

import pytest
from edge_client import CA, HEADERS, LOG, SCENARIO, WORKERS, Answer, converge, site
from machine import until
from playbook import play

RESET = (52, 56)  # curl's codes for a connection closed without an answer


@pytest.fixture
def get(host):
    host.run("rm -f /tmp/body")
    return lambda path, *options: Answer(host, f"https://www.example.test{path}", *options)


def hurry(host, times):
    """Status codes of requests to /login from one client, as fast as it can."""
    url = f"https://www.example.test/login?[1-{times}]"
    command = f"curl -sS --resolve www.example.test:443:127.0.0.1 -o /dev/null -w '%{{http_code}} ' '{url}'"
    return [int(code) for code in host.check_output(command).split()]


def digest(host):
    return host.check_output(
        "find /etc/nginx /etc/systemd/system/nginx.service.d -type f -exec sha256sum {} + | sort | sha256sum"
    )


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/", [], 200),
        ("/static/page/", [], 200),
        ("/static/page", [], 301),
        ("/old", [], 308),
        ("/private", [], 403),
        ("/closed", [], 403),
        ("/static/nothing", [], 404),
        ("/missing", [], 404),
        ("/static/page/", ["-X", "POST"], 405),
        ("/", ["-X", "TRACE"], 405),
        ("/", ["--data-binary", "@/usr/bin/curl"], 413),
        ("/gone", [], 502),
        ("/gone", ["--data-binary", "@/usr/bin/curl"], 502),
    ],
)
def test_headers_on_every_answer(get, path, options, status):
    answer = get(path, *options)
    assert answer.status == status
    assert {name: answer.headers.get(name) for name in HEADERS} == {name: [value] for name, value in HEADERS.items()}
    assert answer.headers["server"] == ["nginx"]
    assert len(answer.headers["x-request-id"]) == 1 and len(answer.headers["x-request-id"][0]) == 32


def test_the_redirect_to_https_has_them_too(host):
    answer = Answer(host, "http://www.example.test/a?b=c")
    assert (answer.status, answer.headers["location"]) == (308, ["https://www.example.test/a?b=c"])
    assert all(answer.headers.get(name) == [HEADERS[name]] for name in HEADERS if name != "strict-transport-security")
    assert "strict-transport-security" not in answer.headers  # RFC 6797: not over plain HTTP


def test_a_location_overrides_headers(get):
    headers = get("/app/").headers
    assert headers["content-security-policy"] == ["default-src 'self' https://cdn.example.test"]
    assert headers["x-frame-options"] == ["SAMEORIGIN"]  # left to the pool
    assert headers["x-content-type-options"] == ["nosniff"]


def test_rate_limit_answers_429_and_recovers(host, get):
    time.sleep(10.5)  # one is free, whatever ran before: 6 a minute
    statuses = hurry(host, 12)
    assert statuses[0] == 200 and statuses[6:] == [429] * 6
    answer = get("/login", "-H", "'Accept: application/json'")
    assert answer.status == 429
    assert {name: answer.headers.get(name) for name in HEADERS} == {name: [value] for name, value in HEADERS.items()}
    assert answer.headers["retry-after"] == ["60"]
    assert json.loads(answer.body) == {"status": 429, "request_id": answer.headers["x-request-id"][0]}
    assert get("/").status == 200  # other paths have their own count
    time.sleep(10.5)
    assert get("/login").status == 200


def test_a_redirect_keeps_to_its_limit_too(get):
    answers = [get("/often") for _ in range(4)]
    assert [answer.status for answer in answers] == [308, 308, 429, 429]
    assert answers[0].headers["location"] == ["/new"]


def test_what_needs_quotes_is_what_it_was(host, get):
    assert get("/old").headers["location"] == ["/new;v=1/"]
    assert (get("/a%5Cb/%2212").status, get("/a%5Cb/%22123").status) == (204, 200)
    for name in ("xn--bcher-kva", "shop12"):
        assert Answer(host, f"https://{name}.example.test/").status == 200
    assert Answer(host, "https://shop123.example.test/", "--resolve", "shop123.example.test:443:127.0.0.1").code == 35


def test_error_pages_say_status_and_request_and_no_version(get):
    answer = get("/gone")
    assert "<h1>502</h1>" in answer.body and answer.headers["x-request-id"][0] in answer.body
    assert "nginx" not in answer.body
    assert get("/missing").body == '{"error": "the pool\'s own"}'
    large = get("/", "--data-binary", "@/usr/bin/curl")
    assert "<h1>413</h1>" in large.body and large.headers["x-request-id"][0] in large.body


def order(**words):
    return play("maintenance", SCENARIO / "inventory.yml", **words)


def test_a_site_closes_for_maintenance_and_opens_without_a_reload(host, get):
    outside = "--resolve www.example.test:443:$(hostname -i)"  # a client that is not on loopback
    workers = host.check_output(WORKERS)
    assert "every site is open" in order().said
    closed = order(site="www", maintenance="on")
    assert closed.code == 0 and "www closed for maintenance" in closed.said, closed.stdout
    visitor, other = Answer(host, "https://www.example.test/login", outside), get("/")
    asked_json = Answer(host, "https://www.example.test/", outside, "-H 'Accept: application/json'")
    upload = Answer(host, "https://www.example.test/upload", outside, "--data-binary", "@/usr/bin/curl")
    again = order(site="www", maintenance="on")
    order(site="www", maintenance="off")
    opened = Answer(host, "https://www.example.test/", outside)
    assert (visitor.status, visitor.headers["retry-after"], other.status) == (503, ["60"], 200)
    assert upload.status == 503
    assert "Closed for maintenance" in visitor.body and {*HEADERS} <= {*visitor.headers}
    assert json.loads(asked_json.body)["maintenance"] is True
    assert "changed=0" in again.stdout and opened.status == 200
    assert host.check_output(WORKERS) == workers


def test_maintenance_of_no_site_is_refused(host):
    assert "shop is no site of edge1, which has www" in order(site="shop", maintenance="on").said
    assert "Give site and maintenance (on or off) together" in order(site="www").said
    assert host.run("ls /etc/slipway/maintenance/shop").rc != 0


def test_the_pool_learns_who_asked(get):
    answer = get("/", "-H", "'X-Forwarded-For: 6.6.6.6'", "-H", "'X-Request-ID: forged-by-client'")
    seen = json.loads(answer.body)["headers"]
    assert seen["x-forwarded-for"] == seen["x-real-ip"] == "127.0.0.1"
    assert (seen["x-forwarded-proto"], seen["host"]) == ("https", "www.example.test")
    assert seen["x-request-id"] == answer.headers["x-request-id"][0] != "forged-by-client"


def test_body_limits_differ_by_path(host, get):
    host.run("head -c 300000 /dev/zero > /tmp/upload")
    assert get("/", "--data-binary", "@/tmp/upload").status == 413
    answer = get("/upload", "--data-binary", "@/tmp/upload")
    assert (answer.status, json.loads(answer.body)) == (200, {"length": 300000})


@pytest.mark.parametrize(("path", "begun", "patience"), [("/stream", True, 60), ("/upload", False, 2)])
def test_an_upload_is_passed_on_as_it_comes_where_that_is_asked_for(host, path, begun, patience):
    seen = json.loads(host.check_output(f"python3 /usr/local/lib/clients.py upload {path} {patience}"))
    assert seen == {"begun": begun, "answer": "HTTP/1.1 200 OK"}


def test_http2_and_tls(host, get):
    assert get("/", "--http2").protocol == "HTTP/2"
    assert get("/", "--http1.1").protocol == "HTTP/1.1"
    assert get("/", "--tls-max", "1.2").status == 200
    assert get("/", "--tls-max", "1.1", "--tlsv1.0", "--ciphers", "DEFAULT@SECLEVEL=0").code == 35
    groups = host.run(f"openssl s_client -connect 127.0.0.1:443 -servername edge1 -CAfile {CA} </dev/null 2>&1").stdout
    assert "X25519MLKEM768" in groups  # OpenSSL 3.5


def test_unknown_names_get_no_answer(host):
    assert Answer(host, "http://other.test/").code in RESET
    assert Answer(host, "https://other.test/").code == 35  # handshake refused
    assert Answer(host, "https://www.example.test/", "--http1.1", "-H", "'Host: other.test'").code in RESET


def test_hidden_files_stay_hidden(get):
    assert get("/static/.env").status == 404


def test_websocket_passes(host):
    script = (
        "import asyncio, ssl, websockets\n"
        "async def main():\n"
        "    async with websockets.connect('wss://edge1/ws', host='127.0.0.1') as s:\n"
        "        for n in range(3):\n"
        "            await s.send(f'hello {n}'); print(await s.recv())\n"
        "asyncio.run(main())\n"
    )
    assert host.run(f'python3 -c "{script}"').stdout.split("\n")[:3] == ["hello 0", "hello 1", "hello 2"]


def test_events_come_as_they_are_sent(host):
    script = (
        "import time, httpx, ssl\n"
        "start = time.monotonic()\n"
        f"client = httpx.Client(http2=True, verify=ssl.create_default_context(cafile='{CA}'))\n"
        "with client.stream('GET', 'https://edge1/events', headers={'Accept-Encoding': 'gzip'}) as answer:\n"
        "    for chunk in answer.iter_text(): print(round(time.monotonic() - start, 2), chunk.strip())\n"
    )
    moments = [
        float(line.split()[0]) for line in host.check_output(f'python3 -c "{script}"').splitlines() if "data" in line
    ]
    assert len(moments) == 3
    assert moments[2] - moments[0] > 0.3  # of 1 s; what is held back comes at once


def test_log_is_json_and_follows_the_request(host, get):
    answer = get("/?token=secret", "-H", "'User-Agent: \"quoted\" \\x'")
    identity = answer.headers["x-request-id"][0]
    assert until(lambda: identity in host.file(LOG).content_string)
    lines = [json.loads(line) for line in host.file(LOG).content_string.splitlines()]
    line = next(line for line in lines if line["request_id"] == identity)
    assert (line["status"], line["path"], line["upstream"], line["upstream_status"]) == (
        200,
        "/",
        "127.0.0.1:18000",
        "200",
    )
    assert line["seconds"] < 5 and line["user_agent"].startswith('"quoted"') and "secret" not in json.dumps(line)
    limited = [line for line in lines if line["status"] == 429 and line["path"] == "/login"]
    assert limited and limited[0]["limit"] == "REJECTED"


def test_logs_rotate(host, get):
    host.check_output("logrotate --force /etc/logrotate.d/nginx")

    def told() -> bool:
        """Workers open the new file when they come to it."""
        return get("/after-rotation").status == 200 and "/after-rotation" in host.file(LOG).content_string

    assert until(told)


def test_status_is_for_this_host_only(host):
    assert "Active connections" in host.check_output("curl -sS http://127.0.0.1:8081/nginx_status")
    assert host.run("curl -sS http://edge1:8081/nginx_status").rc == 7
    assert (
        host.run("curl -sSk -o /dev/null -w '%{http_code}' https://edge1/nginx_status").stdout == "200"
    )  # the pool's, not nginx's


def test_sslyze_calls_it_intermediate(host, tmp_path):
    authority = tmp_path / "ca.pem"
    authority.write_text(host.file(CA).content_string)
    target = "www.example.test:18443{127.0.0.1}"
    done = subprocess.run(
        ["sslyze", "--mozilla_config", "intermediate", "--certinfo_ca_file", authority, target],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0 and "OK - Compliant" in done.stdout, done.stdout[-3000:]


def test_nginx_comes_back_when_killed(host, get):
    before = host.check_output("cat /run/nginx.pid")
    host.check_output(f"kill -KILL {before}")
    # Its workers answer for a moment more.
    assert until(lambda: host.run("cat /run/nginx.pid").stdout.strip() not in ("", before) and not get("/").code)
    assert get("/").status == 200


@pytest.mark.parametrize(
    ("variables", "messages"),
    [
        (
            {"nginx_sites": [site(extra="nonsense on;")], "nginx_pool_tls": []},
            ['unknown directive "nonsense"', "/etc/nginx/sites/www.conf:"],
        ),
        (
            {"nginx_sites": [site(certificate={"name": "absent"})], "nginx_pool_tls": [], "nginx_http_port": 18000},
            ["nginx could not listen: *:18000 is in use by python3 (pid"],
        ),
        (
            {"nginx_sites": [site(certificate={"name": "absent"})], "nginx_pool_tls": []},
            ["/etc/slipway/certificates/absent/key.pem is named in nginx_sites or nginx_pool_tls but is not there"],
        ),
        (
            {
                "nginx_sites": [
                    site(),
                    site(name="two/", domains=["Www.Example.Test"], locations=[{"path": "/none"}]),
                    site(locations=[{"path": "/often", "respond": 204, "rate_limit": {"rate": "5/h"}}]),
                ]
            },
            [
                "Www.Example.Test is a domain of www and of two/",
                "the name two/ cannot be a file name",
                "two/ /none needs exactly one of pool, root, redirect, respond",
                "www /often has the rate 5/h, not like 10/s or 5/min",
            ],
        ),
        (
            {
                "nginx_sites": [
                    site(
                        connections=0,
                        refused_agents=["bot|"],
                        csp={"mode": "report", "policy": "default-src 'self'; report-uri /x"},
                        locations=[
                            {"path": "/", "pool": "127.0.0.1:18000", "pool_cache": {"seconds": 5, "key": "$host"}},
                            {"path": "/staff", "respond": 204, "users": ["carol"]},
                        ],
                    )
                ],
                "nginx_users": [{"name": "dave", "hash": "secret-in-plain"}],
            },
            [
                "www: connections is 0, so that nobody could come",
                "www: the user agent 'bot|' is found in every browser",
                "www: csp.policy has report-uri, which the role adds",
                "www /: pool_cache.key '$host' has neither $request_uri nor $uri",
                "www /staff names carol, who is none of nginx_users",
                "dave: the hash is none of bcrypt's",
                "nginx_pool_tls: 127.0.0.1:18443 is the pool of no location",
            ],
        ),
        ({"nginx_porst": 80}, ["nginx_porst"]),
    ],
    ids=["syntax", "port in use", "no certificate", "contradictions", "what cannot be meant", "misspelt"],
)
def test_bad_input_is_refused_and_the_old_configuration_serves(host, get, variables, messages):
    before = digest(host)
    run = converge(**variables)
    assert run.code != 0 and [message for message in messages if message not in run.said] == [], run.said[-3000:]
    assert digest(host) == before
    assert get("/").status == 200


def test_a_run_that_was_killed_before_its_reload_is_taken_up(host, get):
    time.sleep(1.1)
    host.check_output("touch /etc/nginx/sites/www.conf")
    newest = f"{WORKERS} --newest"
    before = host.check_output(newest)
    run = converge()
    assert run.code == 0 and "older configuration" in run.said, run.said[-3000:]
    assert until(lambda: host.check_output(newest) != before)
    assert "older configuration" not in converge().said


def test_behind_a_load_balancer(host):
    """Only a trusted one is believed; it ends TLS, so plain HTTP behind it is redirected by what it says."""
    locations = [{"path": "/", "pool": "127.0.0.1:18000", "rate_limit": {"rate": "1/min"}}]
    behind = site(behind_tls=True, locations=locations)
    run = converge(
        nginx_sites=[behind],
        nginx_trusted_proxies=["127.0.0.1"],
        nginx_unlimited_clients=["198.51.100.0/24"],
        nginx_pool_tls=[],
    )
    assert run.code == 0, run.said[-3000:]
    forwarded = ["-H", "'X-Forwarded-For: 9.9.9.9, 198.51.100.7'", "-H", "'X-Request-ID: from-balancer-1'"]
    plain = Answer(host, "http://www.example.test/x", *forwarded, "-H", "'X-Forwarded-Proto: http'")
    assert (plain.status, plain.headers["location"]) == (308, ["https://www.example.test/x"])
    for _ in range(3):
        answer = Answer(host, "http://www.example.test/x", *forwarded, "-H", "'X-Forwarded-Proto: https'")
        assert answer.status == 200  # without a rate limit
    seen = json.loads(answer.body)["headers"]
    assert seen["x-forwarded-for"] == "198.51.100.7"
    assert seen["x-request-id"] == answer.headers["x-request-id"][0] == "from-balancer-1"
    assert answer.headers["strict-transport-security"] == [HEADERS["strict-transport-security"]]

    def asks(client: str) -> int:
        claims = ["-H", f"'X-Forwarded-For: {client}'", "-H", "'X-Forwarded-Proto: https'"]
        return Answer(host, "http://www.example.test/x", *claims).status

    clients = (
        "2001:db8:1:2::1",
        "2001:db8:1:2:a0a:a0a:a0a:a0a",
        "2001:db8:1:3::1",
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.1",
    )
    assert [asks(client) for client in clients] == [200, 429, 200, 200, 200, 429], "a client of IPv6 has a whole /64"


def test_behind_a_network_that_delivers(host, get):
    """It names the client by a header of its own; whoever comes past it is refused, whatever they claim."""
    locations = [{"path": "/", "pool": "127.0.0.1:18000"}]
    run = converge(
        nginx_sites=[site(only_proxies=True, locations=locations)],
        nginx_trusted_proxies=["127.0.0.1"],
        nginx_client_header="CF-Connecting-IP",
        nginx_pool_tls=[],
    )
    assert run.code == 0, run.said[-3000:]
    claims = ["-H", "'CF-Connecting-IP: 9.9.9.9'", "-H", "'X-Forwarded-For: 127.0.0.1'"]
    outside = "--resolve www.example.test:80:$(hostname -i)"
    past = Answer(host, "http://www.example.test/", outside, *claims)
    assert (past.status, "<h1>403</h1>" in past.body, "x-frame-options" in past.headers) == (403, True, True)
    by_it = Answer(host, "http://www.example.test/", *claims)
    assert by_it.status == 200
    assert json.loads(by_it.body)["headers"]["x-forwarded-for"] == "9.9.9.9"
    assert "nobody could come" in converge(nginx_sites=[site(only_proxies=True)], nginx_pool_tls=[]).said
    assert converge().code == 0
    assert get("/").status == 200


@pytest.mark.parametrize(
    ("nginx", "openssl"), [("1.22.1", "3.0.17"), ("1.18.0", "3.0.2")], ids=["Debian 12", "Ubuntu 22.04"]
)
def test_what_older_versions_get(host, get, nginx, openssl):
    """The configuration for them holds here too; the running nginx shows that it negotiates the same."""
    run = converge(__nginx_version=nginx, __nginx_openssl=openssl)
    assert run.code == 0, run.said[-3000:]
    configuration = host.check_output("nginx -T 2>/dev/null")
    assert "http2 on" not in configuration and "X25519MLKEM768" not in configuration
    assert ("ssl_reject_handshake" in configuration) == (nginx == "1.22.1")
    assert get("/", "--http2").protocol == "HTTP/2"
    assert Answer(host, "https://other.test/", "-k").code in (35, *RESET, 92)
    assert converge().code == 0


def test_a_removed_site_is_gone_and_others_stay(host, get):
    """Strays in sites/ are removed, the reload takes effect, and a run with the inventory's own values restores all."""
    host.run("echo 'nonsense' > /etc/nginx/sites/stray.conf")
    run = converge()
    assert run.code == 0, run.said[-3000:]
    assert not host.file("/etc/nginx/sites/stray.conf").exists
    assert get("/").status == 200


def test_an_edge_whose_last_site_has_gone_still_runs(host, get):
    """As retire.yml leaves it; nothing of the configuration may hang on a site that is not there."""
    run = converge(nginx_sites=[], nginx_users=[], nginx_pool_tls=[])
    assert run.code == 0, run.said[-3000:]
    assert host.run("nginx -t").rc == 0 and host.service("nginx").is_running  # who asks gets no answer at all
    assert converge().code == 0
    assert get("/").status == 200
