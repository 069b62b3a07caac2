"""Answers of a pool that are kept: who gets them, who never does, and what happens while the pool fails."""

from __future__ import annotations

import json
import time
import uuid

import pytest
from edge_client import LOG, SCENARIO, WORKERS, Answer
from machine import until
from playbook import play

KEPT = "https://kept.example.test"
POLICY = "default-src 'none'; report-uri /told; report-to csp"
FAILS = "/run/pool-fails"


@pytest.fixture
def page():
    """A page that nobody asked for before."""
    return f"/{uuid.uuid4()}"


@pytest.fixture
def get(host):
    return lambda path, *options: Answer(host, f"{KEPT}{path}", *options)


@pytest.fixture
def failing(host):
    """Has the pool answer 500, and answer again at the end."""
    yield lambda: host.check_output(f"touch {FAILS}")
    host.check_output(f"rm -f {FAILS}; systemctl start pool")
    assert until(lambda: Answer(host, "https://www.example.test/").status == 200)


def state(answer):
    return answer.headers.get("x-cache-status")


def number(answer):
    return json.loads(answer.body)["number"]


def twice(host, path):
    """What came of the cache for two requests of one command, for a second may be over between two commands."""
    url = f"{KEPT}{path}"
    command = f"curl -sS --resolve kept.example.test:443:127.0.0.1 -w '%header{{x-cache-status}} ' -o /tmp/once {url}"
    return host.check_output(f"{command} -o /dev/null {url}").split(), json.loads(host.file("/tmp/once").content_string)


def number_of(answer):
    """Of an answer that may be an error."""
    return json.loads(answer.body).get("number")


def test_a_second_visitor_gets_what_the_first_one_got(get, page):
    first, second = get(page, "--compressed"), get(page)
    assert "accept-encoding" not in json.loads(first.body)["headers"]  # both can read it
    assert (state(first), state(second)) == (["MISS"], ["HIT"])
    assert number(first) == number(second)
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert second.lacks(content_security_policy=POLICY) == {}
    assert number(get(f"{page}?other")) != number(first)


@pytest.mark.parametrize(("header", "value"), [("Cookie", "session="), ("Cookie", ""), ("Authorization", "Bearer ")])
def test_nobody_ever_sees_anothers_page(get, page, header, value):
    """With cookies or a password the pool is asked each time, and what it answers stays with who asked."""
    for who in ("alice", "bob", "0", "alice"):  # 0 is what nginx takes for no
        answer = get(page, f"-H '{header}: {value}{who}'")
        assert state(answer) == ["BYPASS"]
        assert json.loads(answer.body)["headers"][header.lower()] == f"{value}{who}"
    nobody = get(page)
    assert state(nobody) == ["MISS"] and header.lower() not in json.loads(nobody.body)["headers"]
    own = get(page, f"-H '{header}: {value}alice'")
    assert state(own) == ["BYPASS"] and number(own) != number(nobody)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_what_is_not_answered_from_the_cache_comes_to_the_pool_as_it_was_sent(host, get, page, method):
    """Parts and conditions too, which nginx keeps to itself where an answer could be kept."""
    sent = {
        "range": "bytes=0-3",
        "if-range": '"a"',
        "if-none-match": '"b"',
        "if-modified-since": "Mon, 30 Nov 2026 00:00:00 GMT",
    }
    options = [f"-H '{name}: {value}'" for name, value in sent.items()]
    host.check_output("rm -f /run/pool-asked")
    answer = get(
        f"{page}/asked", "-X", method, "--head" if method == "HEAD" else "", "-H 'Cookie: session=alice'", *options
    )
    assert state(answer) == ["BYPASS"]
    asked = json.loads(host.file("/run/pool-asked").content_string)
    assert asked["method"] == method
    assert {name: asked["headers"].get(name) for name in sent} == sent
    host.check_output("rm -f /run/pool-asked")
    if method == "GET":
        assert state(get(f"{page}/asked", *options)) == ["MISS"]
        headers = json.loads(host.file("/run/pool-asked").content_string)["headers"]
        assert not sent.keys() & headers.keys()


def test_the_log_says_what_came_of_the_cache(host, get, page):
    answers = [get(page), get(page), get(page, "-H 'Cookie: session=alice'")]
    identity = answers[-1].headers["x-request-id"][0]
    assert until(lambda: identity in host.file(LOG).content_string)
    lines = {line["request_id"]: line for line in map(json.loads, host.file(LOG).content_string.splitlines())}
    told = [lines[answer.headers["x-request-id"][0]]["cache"] for answer in answers]
    assert told == ["MISS", "HIT", "BYPASS"]


def test_a_body_is_in_no_key(get, page):
    assert state(get(page, "-X GET --data mine=1")) == ["BYPASS"]
    assert state(get(page)) == ["MISS"]
    assert state(get(page, "-X POST --data mine=1")) != ["HIT"]


def test_an_answer_with_a_cookie_is_not_kept(get, page):
    first, second = get(f"{page}/sets-cookie"), get(f"{page}/sets-cookie")
    assert (state(first), state(second)) == (["MISS"], ["MISS"])
    assert first.headers["set-cookie"] != second.headers["set-cookie"]


def test_cookies_that_make_a_request_personal_can_be_named(get, page):
    path = f"/catalogue{page}"
    assert state(get(path, "-H 'Cookie: _ga=1; supersession=2'")) == ["MISS"]
    assert state(get(f"{path}?utm=1", "-H 'Cookie: _ga=2'")) == ["HIT"]  # key: $uri
    for cookie in ("session=a", "_ga=1; session=a", "__Host-id=1", "_ga=1;SESSION = a"):
        assert state(get(path, f"-H 'Cookie: {cookie}'")) == ["BYPASS"], cookie


def test_only_the_named_statuses_are_kept(get, page):
    assert [state(get(f"/missing{page}")) for _ in range(2)] == [["MISS"], ["MISS"]]
    assert [state(get(f"/catalogue/missing{page}")) for _ in range(2)] == [["MISS"], ["HIT"]]


def test_an_old_answer_goes_out_while_the_pool_fails(host, get, page, failing):
    path = f"/brief{page}"
    first = get(path)
    failing()
    time.sleep(2.1)
    for _ in range(3):
        old = get(path)
        assert (old.status, number(old)) == (200, number(first))
        assert state(old) == ["STALE"]
    never = get(f"{path}/never-seen")
    assert (never.status, never.body) == (500, '{"error": "the pool\'s own"}')
    host.check_output("systemctl stop pool")
    assert (get(path).status, number(get(path))) == (200, number(first))
    host.check_output(f"rm {FAILS}; systemctl start pool")
    assert until(lambda: number(get(path)) != number(first))


@pytest.mark.parametrize("now", ["missing", "sets-cookie"])
def test_a_page_that_is_gone_or_personal_by_now_goes_out_no_more(host, get, page, now):
    """Not even once: whoever asks after `seconds` sees what the pool says."""
    path = f"/brief{page}"
    states, kept = twice(host, path)
    assert states == ["MISS", "HIT"]
    host.check_output(f"echo {now} > /run/pool-says")
    try:
        time.sleep(2.1)
        for _ in range(2):
            seen = get(path)
            assert state(seen)[0] in ("EXPIRED", "MISS") and number_of(seen) != kept["number"]
    finally:
        host.check_output("rm /run/pool-says")


def test_a_key_is_its_locations_own(get):
    """Two exact locations with one key, of which the first is perhaps not for everybody."""
    inside, outside = get("/stock?id=1"), get("/price?id=1")
    assert (state(inside), state(outside)) == (["MISS"], ["MISS"]) and number(inside) != number(outside)
    assert (state(get("/stock?id=1&x=2")), state(get("/price?id=1&x=2"))) == (["HIT"], ["HIT"])


def test_without_stale_a_failure_is_seen(get, page, failing):
    path = f"/strict{page}"
    assert get(path).status == 200
    failing()
    time.sleep(2.1)
    assert get(path).status == 500


def test_many_who_want_the_same_wait_for_one(host, get, page):
    url = f"{KEPT}{page}-slow?"
    command = f"curl -sS --resolve kept.example.test:443:127.0.0.1 --parallel --parallel-immediate {f'{url}a ' * 20}"
    numbers = {*_numbers(host.check_output(command))}
    assert len(numbers) < 5  # of 20


def _numbers(text):
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        document, place = decoder.raw_decode(text, place)
        yield document["number"]


def purge(**words):
    return play("purge", SCENARIO / "inventory.yml", **words)


def test_purge_empties_the_cache_of_one_site(host, get, page):
    other = f"https://www.example.test/kept{page}"
    for _ in range(2):
        kept, others = get(page), Answer(host, other)
    assert (state(kept), state(others)) == (["HIT"], ["HIT"])
    workers = host.check_output(WORKERS)
    assert "answers, " in purge().said
    seen = play("purge", SCENARIO / "inventory.yml", "--check", site="kept")
    assert seen.changed == 1 and state(get(page)) == ["HIT"]
    done = purge(site="kept")
    assert done.code == 0 and done.changed == 1 and "answers of kept are gone" in done.said, done.stdout
    fresh = get(page)
    assert (state(fresh), number(fresh) != number(kept)) == (["MISS"], True)
    assert (state(get(page)), state(Answer(host, other))) == (["HIT"], ["HIT"])
    assert host.check_output(WORKERS) == workers
    assert purge(site="busy").code != 0
    assert "busy has no cache on edge1, which has kept, www" in purge(site="busy").said
