"""Attacks bounce and ordinary requests pass; what is told of them says nothing of what people sent."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from machine import crowding, until
from playbook import play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
CA = "/usr/local/share/ca-certificates/slipway-internal-ca.crt"
EVENTS = "/var/lib/nginx/waf/events"
METRICS = "/var/lib/metrics/slipway_waf.prom"
SCRIPT = "q=%3Cscript%3Ealert(1)%3C/script%3E"
INJECTION = "id=1%27%20OR%20%271%27=%271"
ATTACKS = {
    "SQL injection": f"/?{INJECTION}",
    "cross-site scripting": f"/?{SCRIPT}",
    "a file of the host": "/?file=../../../../etc/passwd",
    "a command": "/?name=;cat+/etc/passwd",
    "a hidden file": "/.env",
    "a scanner": "/ -A nikto",
    "in JSON": """/ -H 'Content-Type: application/json' -d '{"a": "<script>alert(1)</script>"}'""",
    "in a form": "/ -d 'name=<script>alert(1)</script>'",
}
# A scan in JSON, and an attack as large. Of random ones a few in a hundred look like a command to rule 932160.
LARGE = """test -s /tmp/attack.json || {
openssl enc -aes-128-ctr -K $(printf %032d 0) -iv $(printf %032d 0) -in /dev/zero 2> /dev/null |
  head -c 400000 > /tmp/big
base64 -w0 /tmp/big | sed 's/.*/{"scan": "&"}/' > /tmp/big.json
sed 's/"}/<script>alert(1)<\\/script>&/' /tmp/big.json > /tmp/attack.json; }"""
HEADERS = (
    "strict-transport-security",
    "content-security-policy",
    "x-content-type-options",
    "x-frame-options",
    "x-request-id",
)


def ask(host, request, site="shop.example.test", scheme="https"):
    """Status and headers (small) of a request, given as a path and curl's options."""
    path, _, options = request.partition(" ")
    port = {"https": 443, "http": 80}[scheme]
    told = host.check_output(
        f"curl -sS --max-time 30 --cacert {CA} --resolve {site}:{port}:127.0.0.1 -o /tmp/body -D - {options} '{scheme}://{site}{path}'"
    )
    first, *lines = told.replace("\r", "").strip().split("\n\n")[-1].splitlines()
    return int(first.split()[1]), {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}


def events(host):
    told = host.check_output("journalctl --unit slipway-waf-events --output cat").splitlines()
    return [json.loads(line) for line in told if line.startswith("{")]


def event_of(host, headers):
    """What was told of the request that had this answer."""
    found = []

    def there():
        found[:] = [event for event in events(host) if event["request_id"] == headers["x-request-id"]]
        return bool(found)

    assert until(there, 30 * crowding(), pause=0.5), host.check_output("journalctl -u slipway-waf-events -n 20")
    return found[0]


def test_over_http3_an_attack_is_refused_and_an_ordinary_request_has_no_event(host):
    """There nginx passes no Host header on to the firewall, which is no sign of an attack."""
    over = "--http3-only -A 'Mozilla/5.0'"
    status, headers = ask(host, f"/items?q=%EA%B2%BD {over}")
    assert status == 200
    refused, attack = ask(host, f"/?{SCRIPT} {over}")
    assert (refused, event_of(host, attack)["action"]) == (403, "blocked")
    assert headers["x-request-id"] not in {event["request_id"] for event in events(host)}
    assert [header for header in HEADERS if header not in attack] == []


REPORTS = "-H 'Content-Type: application/csp-report'"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("/csp-reports", 405),
        (f"/csp-reports {REPORTS} --data-binary @/usr/bin/python3", 413),
        (f"/csp-reports {REPORTS} -d '<script>alert(1)</script>' --interface 127.6.0.1", 429),
    ],
)
def test_a_report_that_is_refused_looks_as_others_and_is_no_attack(host, request_, status):
    """Its error page is a request of its own for the firewall."""
    for _ in range(40):
        answered, headers = ask(host, request_)
        if answered == status:
            break
        assert answered == 204
    assert answered == status
    assert [header for header in HEADERS if header not in headers] == []
    assert headers["content-type"] == "text/html"
    attack = ask(host, f"/?{SCRIPT}")[1]
    assert event_of(host, attack)  # told after it
    assert headers["x-request-id"] not in {event["request_id"] for event in events(host)}


def test_what_browsers_report_of_a_policy_is_no_attack(host):
    """It quotes what was blocked; as a request to the pool the same is refused."""
    report = '{"csp-report": {"script-sample": "<script>alert(1)</script>"}}'
    sent = f"-H 'Content-Type: application/json' -d '{report}'"
    assert ask(host, f"/csp-reports {sent}")[0] == 204
    assert ask(host, f"/ {sent}")[0] == 403


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_where_that_is_asked_for(host, name):
    status, headers = ask(host, ATTACKS[name])
    assert status == 403
    assert [header for header in HEADERS if header not in headers] == []
    assert "server: nginx/" not in str(headers)
    assert ask(host, ATTACKS[name], "new.example.test")[0] == 200
    assert ask(host, ATTACKS[name], "plain.example.test")[0] == 200


@pytest.mark.parametrize(
    "request_",
    [
        "/items?q=%EA%B2%BD%EC%9A%B0&page=2",
        """/items/1 -X PUT -H 'Content-Type: application/json' -d '{"name": "안녕하세요, 예산입니다!", "won": 12}'""",
        """/items/1 -X PATCH -H 'Content-Type: application/merge-patch+json' -d '{"name": null}'""",
        "/items/1 -X DELETE",
        "/items/1 -X OPTIONS",
        "/items --head",
        "/form --data-urlencode '비고=회의록을 첨부합니다; 확인 부탁드립니다.'",
        "/upload -F 'file=@/srv/pool.py;filename=영수증-2026.zip;type=application/zip'",
        "/upload -F note=ok -F 'file=@/tmp/big;filename=scan.pdf;type=application/pdf'",
        "/upload -H 'Content-Type: application/octet-stream' --data-binary @/tmp/big",
        """/upload -H 'Content-Type: application/json' --data-binary @/tmp/big.json""",
        "/text -H 'Content-Type: text/plain' -d 'It is the 3rd & last one: 5 < 7, isn\"t it?'",
    ],
)
def test_an_ordinary_request_passes(host, request_):
    host.check_output(LARGE)
    status, headers = ask(host, request_)
    assert status == 200, (status, event_of(host, headers))


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/upload", "/tmp/attack.json", 403),
        ("/upload/none", "/tmp/big.json", 502),
        ("/", "/tmp/big.json", 413),
    ],
)
def test_an_upload_larger_than_other_requests_may_be_gets_the_error_that_it_was(host, path, sent, status):
    host.check_output(LARGE)
    told, headers = ask(host, f"{path} -H 'Content-Type: application/json' --data-binary @{sent}")
    assert told == status
    assert headers["x-request-id"] in host.check_output("cat /tmp/body")
    if status == 403:
        assert event_of(host, headers)["rules"][0]["where"] == "ARGS:json.scan"


def test_ten_thousand_ordinary_requests_pass(host):
    program = (SCENARIO / "ordinary.py").read_text(encoding="utf-8")
    told = host.check_output("SSL_CERT_FILE=%s python3 -c %s 10000", CA, program)
    assert json.loads(told) == {"200": 10000}


@pytest.mark.parametrize(
    ("request_", "rule"),
    [
        ("/form --data-urlencode 'q=https://example.test/a is this yours?'", "931120"),
        ("/upload -F 'file=@/srv/pool.py;filename=Mr O'\\''Neill.py'", "920120"),
        ("/form --data-urlencode 'q=union select group from order'", "942190"),
    ],
)
def test_what_the_readme_calls_false_alarms_are_some(host, request_, rule):
    status, headers = ask(host, request_)
    assert status == 403
    assert rule in {found["id"] for found in event_of(host, headers)["rules"]}


@pytest.mark.parametrize(
    ("excluded", "still"),
    [
        ("/notes/1 -d 'text=<script>alert(1)</script>'", f"/notes/1 -d {INJECTION}"),
        (f"/report?query={INJECTION[3:]}", f"/report?other={INJECTION[3:]}"),
        (f"/raw/1?{SCRIPT}", f"/other/raw/1?{SCRIPT}"),
    ],
)
def test_an_exclusion_is_as_narrow_as_it_says(host, excluded, still):
    assert ask(host, excluded)[0] == 200
    assert ask(host, still)[0] == 403


def test_what_cannot_be_read_is_refused_and_what_is_too_large_is_said_so(host):
    assert ask(host, """/ -H 'Content-Type: application/json' -d '{"a": '""")[0] == 400
    assert ask(host, "/ -H 'Content-Type: application/octet-stream' --data-binary @/usr/bin/python3")[0] == 413


def test_an_error_behind_nginx_is_no_attack(host):
    """On its way to the error page nginx makes a request a GET, and a GET with a body is one for the rules."""
    host.check_output("systemctl stop pool")
    try:
        status, headers = ask(host, """/items -H 'Content-Type: application/json' -d '{"a": 1}'""")
    finally:
        host.check_output("systemctl start pool")
        assert until(lambda: ask(host, "/")[0] == 200, 30 * crowding())
    assert status == 502
    line = host.check_output(f"grep {headers['x-request-id']} /var/log/nginx/access.log")
    assert json.loads(line)["method"] == "POST"
    assert not [event for event in events(host) if event["request_id"] == headers["x-request-id"]]


def test_an_event_tells_the_rule_and_the_place_and_not_what_was_sent(host):
    status, headers = ask(host, "/login -H 'Cookie: id=hunter2' -d 'password=hunter2<script>alert(1)</script>'")
    assert status == 403
    event = event_of(host, headers)
    assert (event["action"], event["host"], event["path"]) == ("blocked", "shop.example.test", "/login")
    assert event["client"] == "127.0.0.0/24"
    assert {"941100", "941110"} <= {rule["id"] for rule in event["rules"]}
    assert {rule["where"] for rule in event["rules"]} == {"ARGS:password"}
    for place in ("/var/log/nginx", EVENTS, "/var/lib/slipway/waf", METRICS):
        assert host.run(f"grep -r hunter2 {place}").rc == 1
    assert host.run("journalctl --output export | grep -a hunter2").stdout == ""
    detected = event_of(host, ask(host, f"/?{SCRIPT}", "new.example.test")[1])
    assert (detected["action"], detected["status"]) == ("detected", 200)


def test_what_came_while_nobody_read_is_counted_later(host):
    before = blocked(host)
    host.check_output("systemctl kill --signal=KILL slipway-waf-events && systemctl stop slipway-waf-events")
    answers = [ask(host, f"/?{SCRIPT}") for _ in range(5)]
    assert [status for status, _ in answers] == [403] * 5
    host.check_output("systemctl reset-failed slipway-waf-events; systemctl start slipway-waf-events")
    for _, headers in answers:
        event_of(host, headers)
    assert until(lambda: blocked(host) >= before + 5, 30 * crowding())
    assert until(lambda: host.check_output(f"find {EVENTS} -type f") == "", 30 * crowding())


def blocked(host):
    lines = host.file(METRICS).content_string.splitlines()
    return sum(
        int(line.split()[-1])
        for line in lines
        if line.startswith('slipway_waf_events_total{action="blocked",attack="xss"')
    )


def test_the_other_names_lead_to_the_one_that_people_shall_see(host):
    status, headers = ask(host, "/a?b=c", "www.shop.example.test")
    assert (status, headers["location"]) == (308, "https://shop.example.test/a?b=c")
    status, headers = ask(host, "/a?b=c", "www.shop.example.test", scheme="http")
    assert (status, headers["location"]) == (308, "https://shop.example.test/a?b=c")


def test_what_happens_in_the_firewall_is_nobody_elses(host):
    for path in ("/var/lib/nginx/waf", EVENTS):
        assert (host.file(path).user, host.file(path).mode) == ("www-data", 0o700)
    assert host.file("/var/lib/slipway/waf").mode == 0o700


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"waf_rules_checksum": ""}, "waf_rules_checksum is empty: give the checksum of file:///srv/crs.tar.gz"),
        ({"waf_methods": ["GET' evil"]}, "neither a method such as PUT"),
        ({"waf_enabled": False}, "shop: waf needs role waf on this host"),
    ],
)
def test_what_cannot_be_meant_is_refused_first(host, variables, said):
    ran = play(SCENARIO / "converge.yml", INVENTORY, **variables)
    assert ran.code != 0
    assert said in ran.output
    assert ask(host, f"/?{SCRIPT}")[0] == 403


def test_rules_that_are_not_those_of_the_checksum_never_arrive(host):
    ran = play(SCENARIO / "converge.yml", INVENTORY, waf_rules_checksum=f"sha256:{'0' * 64}")
    assert ran.code != 0
    assert "checksum" in ran.output
    assert ask(host, f"/?{SCRIPT}")[0] == 403
    assert ask(host, "/")[0] == 200


def test_rules_that_the_engine_cannot_read_leave_the_old_ones(host):
    """An archive whose checksum is right and whose content is not."""
    tree = "/srv/broken/coreruleset-4.25.1"
    host.check_output(
        f"mkdir -p {tree}/rules && echo '# nothing' > {tree}/crs-setup.conf.example "
        f"&& echo 'SecRule here' > {tree}/rules/RESPONSE-980-CORRELATION.conf "
        "&& tar -C /srv/broken -czf /srv/broken.tar.gz coreruleset-4.25.1"
    )
    checksum = host.check_output("sha256sum /srv/broken.tar.gz").split()[0]
    ran = play(
        SCENARIO / "converge.yml",
        INVENTORY,
        waf_rules_version="4.25.1",
        waf_rules_url="file:///srv/broken.tar.gz",
        waf_rules_checksum=f"sha256:{checksum}",
    )
    assert ran.code != 0
    assert "Rules error" in ran.output
    assert ask(host, f"/?{SCRIPT}")[0] == 403
    host.check_output("systemctl reload nginx")
    assert ask(host, f"/?{SCRIPT}")[0] == 403
    host.check_output("rm -rf /srv/broken /srv/broken.tar.gz /usr/local/share/slipway/crs-4.25.1-*")


def test_health_tries_an_attack(host):
    assert "security.waf.blocks" not in failed_checks()
    host.check_output(
        "sed -i 's/SecRuleEngine On/SecRuleEngine DetectionOnly/' /etc/nginx/waf/shop.conf && systemctl reload nginx"
    )
    assert until(lambda: ask(host, f"/?{SCRIPT}")[0] == 200, 30 * crowding())
    assert "security.waf.blocks" in failed_checks()
    assert play(SCENARIO / "converge.yml", INVENTORY).code == 0
    assert until(lambda: ask(host, f"/?{SCRIPT}")[0] == 403, 30 * crowding())


def failed_checks():
    """The ids of the checks of `health.yml` that did not pass."""
    with tempfile.TemporaryDirectory() as place:
        play("health", INVENTORY, health_report_dir=place)
        told = json.loads((Path(place) / "health.json").read_text(encoding="utf-8"))["hosts"]["edge1"]
    results = told["results"] if isinstance(told, dict) else told
    assert "security.waf.blocks" in {result["id"] for result in results}
    return {result["id"] for result in results if result["verdict"] != "pass"}
