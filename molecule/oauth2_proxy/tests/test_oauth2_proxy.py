"""Places for people who have signed in, as visitors and the pool behind see them."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from machine import crowding, until
from playbook import play
from visitors import ALICE, BOB, GUEST, INVENTORY, SECRETS, SESSION, STRANGER, UNIT, Visitor, configure, edge, provider

testinfra_hosts = ["edge1"]
HANDSHAKE = (
    "--http1.1", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
    "-H", "Sec-WebSocket-Key: c2xpcHdheSBzbGlwd2F5IQ==",
)  # fmt: skip
FORGED = [
    option
    for name in ("X-Auth-Request-User", "x-auth-request-EMAIL", "X-Auth-Request-Preferred-Username",
                 "X-Auth-Request-Groups", "X_Auth_Request_User")
    for option in ("-H", f"{name}: forged")
]  # fmt: skip
SCRIPT = "/?q=%3Cscript%3Ealert(1)%3C/script%3E"


@pytest.fixture(scope="module")
def alice():
    visitor = Visitor("alice")
    assert visitor.sign_in(ALICE).status == 200
    return visitor


@pytest.fixture
def stranger():
    return Visitor("stranger")


@pytest.mark.parametrize("path", ["/", "/admin/", "/boss", "/files/plan", "/ws", "/no/such"])
def test_a_browser_is_sent_to_the_provider_and_a_script_is_refused(stranger, path):
    sent = stranger.get(path)
    where = urlsplit(sent.headers["location"])
    asked = parse_qs(where.query)
    assert (sent.status, where.netloc, where.path) == (302, "provider1:9443", "/oidc/authorize")
    assert asked["redirect_uri"] == ["https://intra.example.test/oauth2/callback"]
    assert asked["code_challenge_method"] == ["S256"] and asked["nonce"] and asked["state"]
    assert sent.headers["strict-transport-security"] and "no-store" in sent.headers["cache-control"]
    refused = stranger.get(path, accept="application/json")
    assert refused.status == 401 and json.loads(refused.body)["status"] == 401
    assert "set-cookie" not in refused.headers
    for accept in ("*/*", "application/json, text/html", "image/png"):
        assert stranger.get(path, accept=accept).status == 401
    assert stranger.get(path, "--data", "x=1", accept="*/*").status == 401
    assert stranger.asks("/ws", *HANDSHAKE) == 401


def test_who_signs_in_comes_back_to_the_page_and_the_pool_knows_them():
    visitor = Visitor("newcomer")
    visitor.keep("theme", "dark")
    answer = visitor.sign_in(ALICE, "/page?x=1&y=2%20a")
    assert answer.way == [302, 302, 302, 200]
    assert json.loads(answer.body)["path"] == "/page?x=1&y=2%20a"
    assert {name: value for name, value in answer.seen.items() if "auth" in name} == {
        "x-auth-request-user": "id of alice@example.test",
        "x-auth-request-email": "alice@example.test",
        "x-auth-request-preferred-username": "alice",
        "x-auth-request-groups": "staff,admins & co",
    }
    (session,) = [one for one in answer.values("set-cookie") if one.startswith(f"{SESSION}=")]
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(session.split("; ")) and "Domain" not in session
    again = visitor.get("/")
    assert again.status == 200 and again.seen["cookie"] == "theme=dark", "the pool gets no session"
    line = edge.check_output(f"grep {again.headers['x-request-id']} /var/log/nginx/access.log")
    assert json.loads(line)["user"] == "alice@example.test"
    assert visitor.get("/files/plan").body == "of the house"
    assert visitor.get("/", "--data", "x=1").status == 200
    shaken = visitor.get("/ws", *HANDSHAKE)
    assert (shaken.status, shaken.headers["x-seen"]) == (101, "alice@example.test")
    assert visitor.asks("/pools-own") == 401 and visitor.get("/pools-own").seen, "its own 401 is the pool's affair"
    code = parse_qs(urlsplit(answer.values("location")[1]).query)["code"][0]
    assert edge.run(f"journalctl --unit {UNIT} | grep -F -e {code} -e {session.split('=')[1][:20]}").rc == 1
    assert edge.run(f"grep -r -F {code} /var/log/nginx").rc == 1


def test_no_client_tells_a_pool_who_it_is(alice, stranger):
    for site, path in (("intra", "/open/"), ("shop", "/")):
        got = stranger.get(path, *FORGED, site=site)
        assert got.status == 200 and got.seen and not [name for name in got.seen if "auth" in name], got.seen
    assert stranger.asks("/", *FORGED) == 401
    seen = alice.get("/", *FORGED).seen
    assert seen["x-auth-request-email"] == "alice@example.test" and "forged" not in json.dumps(seen)


def test_some_places_are_for_some_people(alice):
    assert (alice.asks("/admin/"), alice.asks("/boss")) == (200, 204)
    bob, guest = Visitor("bob"), Visitor("guest")
    assert bob.sign_in(BOB).status == 200
    assert (bob.asks("/"), bob.asks("/admin/"), bob.asks("/boss")) == (200, 403, 403)
    assert bob.get("/admin/").status == 403, "nobody is sent round in a circle"
    assert guest.sign_in(GUEST).seen["x-auth-request-email"] == "guest@elsewhere.test"
    assert guest.asks("/admin/") == 403


@pytest.mark.parametrize("person", [STRANGER, ALICE | {"EmailVerified": False}], ids=["stranger", "unverified"])
def test_who_may_not_sign_in_gets_no_session(stranger, person):
    answer = stranger.sign_in(person)
    assert (answer.status, answer.seen, stranger.cookie()) == (403, {}, "")
    assert stranger.asks() == 401


def test_a_session_that_was_tampered_with_opens_nothing(alice, stranger):
    whole = alice.cookie()
    value, made, signature = whole.split("|")
    other = "A" if value[9] != "A" else "B"
    for forged in (
        "", "x", f"{value[:9]}{other}{value[10:]}|{made}|{signature}", f"{value}|{int(made) + 1}|{signature}",
        f"{value}|{made}|{signature[:-2]}", f"{value}|{made}", "$(cat /etc/passwd)",
    ):  # fmt: skip
        stranger.keep(SESSION, forged)
        assert stranger.asks() == 401, forged
    stranger.keep(SESSION, whole)
    assert stranger.asks() == 200, "it was the change that was refused"


def test_an_answer_of_the_provider_that_nobody_asked_for_signs_nobody_in(alice, stranger):
    """A link with somebody else's code would have a visitor work in that one's name."""
    start = urlsplit(alice.get("/oauth2/start").headers["location"])
    state = parse_qs(start.query)["state"][0]
    answer = stranger.get(f"/oauth2/callback?code=x&state={state}")
    assert (answer.status, stranger.cookie()) == (403, "")
    assert "<h1>403</h1>" in answer.body, "the page is the site's"


def test_the_firewall_looks_before_and_after_somebody_has_signed_in(alice, stranger):
    assert stranger.get(SCRIPT).status == 403
    assert alice.get(SCRIPT).status == 403
    assert stranger.get("/oauth2/start?rd=%3Cscript%3Ealert(1)%3C/script%3E").status == 403


def test_who_signs_out_is_out_and_is_sent_nowhere_else(stranger):
    assert stranger.sign_in(BOB).status == 200
    out = stranger.get("/oauth2/sign_out?rd=https://evil.example/")
    assert (out.status, out.headers["location"], stranger.cookie()) == (302, "/", "")
    assert stranger.asks() == 401
    way = stranger.sign_in(BOB, "/oauth2/start?rd=//evil.example/").values("location")
    assert way[-1] == "/" and not [one for one in way if "evil" in urlsplit(one).netloc]


def failed(place: Path) -> set[str]:
    """What health.yml finds wrong on the edge, of sign-in and its unit."""
    play("health", INVENTORY, "--limit=edge1", health_report_dir=str(place), health_deadline="0s", health_timeout="60s")
    found = json.loads((place / "health.json").read_text())["hosts"]["edge1"]
    ours = [one for one in found if "oauth2" in one["id"] + one["subject"] + one["claim"]]
    assert len(ours) == 8, ours
    return {one["id"].rpartition(".")[2] for one in ours if one["verdict"] != "pass"}


def test_without_the_proxy_nobody_passes_and_health_says_so(alice, stranger, tmp_path):
    assert failed(tmp_path) == set()
    edge.check_output(f"systemctl stop {UNIT}")
    try:
        for visitor in (alice, stranger):
            for path in ("/", "/boss", "/files/plan", "/admin/"):
                for accept in ("text/html", "application/json"):
                    answer = visitor.get(path, accept=accept)
                    assert (answer.status, answer.headers["retry-after"], answer.seen) == (503, "60", {})
            assert visitor.asks("/ws", *HANDSHAKE) == 503
        assert stranger.get("/open/").status == 200
        assert {"answers", "refuses"} <= failed(tmp_path)
    finally:
        edge.check_output(f"systemctl start {UNIT}")
    assert until(lambda: alice.asks() == 200, 30 * crowding())


def test_without_the_provider_those_who_are_in_stay_in_and_health_says_so(alice, tmp_path):
    provider.check_output("systemctl stop provider")
    try:
        assert alice.asks() == 200
        assert failed(tmp_path) == {"issuer"}
    finally:
        provider.check_output("systemctl start provider")


def test_it_listens_where_it_says_as_a_user_of_its_own(alice):
    own = f"uid:{edge.check_output('id --user oauth2-proxy')} "
    lines = edge.check_output("ss --listening --tcp --udp --numeric --extended --no-header").splitlines()
    assert {line.split()[4] for line in lines if own in line} == {"127.0.0.1:4180", "127.0.0.1:44180"}
    pid = edge.check_output(f"systemctl show --property=MainPID --value {UNIT}")
    assert edge.check_output(f"ps -o user:20= -p {pid}").strip() == "oauth2-proxy"
    for name in ("client-secret", "cookie-secret", "oauth2-proxy.cfg"):
        assert edge.run(f"runuser -u nobody -- cat /etc/slipway/oauth2_proxy/{name}").rc != 0
        assert edge.run(f"runuser -u oauth2-proxy -- test -w /etc/slipway/oauth2_proxy/{name}").rc != 0
    metrics = edge.check_output("curl -sSf http://127.0.0.1:44180/metrics")
    assert "oauth2_proxy_requests_total" in metrics


def test_sessions_end_with_their_time_and_with_their_key(alice):
    """Each run takes longer than the second that a session lasts then."""
    new = "anotherKeyOfThisScenarioNoSecret"
    assert alice.asks() == 200
    shorter = configure("--diff", "-vvv", oauth2_proxy_session_seconds=1)
    assert shorter.code == 0, shorter.said[-3000:]
    assert alice.asks() == 401
    other = configure("--diff", "-vvv", oauth2_proxy_cookie_secret=new)
    assert other.code == 0, other.said[-3000:]
    assert alice.asks() == 401
    assert configure().code == 0
    assert alice.asks() == 200, "the session itself was not touched"
    for run in (shorter, other):
        assert run.changed > 0 and not [secret for secret in (new, *SECRETS.values()) if secret in run.output]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"oauth2_proxy_issuer": "http://provider1/oidc"}, "(http://provider1/oidc) is the provider's issuer"),
        ({"oauth2_proxy_address": "0.0.0.0"}, "oauth2_proxy_address (0.0.0.0) is not on loopback"),
        ({"oauth2_proxy_email_domains": [], "oauth2_proxy_emails": []}, "Nobody could sign in"),
        ({"oauth2_proxy_cookie_secret": "short"}, "oauth2_proxy_cookie_secret is 32 letters and digits"),
        ({"oauth2_proxy_ca_file": "/etc/hostname"}, "unable to load provider CA file"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_stops(alice, variables, said):
    run = configure(**variables)
    assert run.code != 0 and said in run.said, run.said[-3000:]
    assert not any(secret in run.output for secret in SECRETS.values())
    assert alice.asks() == 200
