"""Places for people with a password."""

from __future__ import annotations

import json

import pytest
from edge_client import Answer, converge

ALICE, BOB = "alice:alice'\\''s own: 12", "bob:hello"
FILES = "ls /etc/nginx/slipway/www_*.users"


@pytest.fixture
def get(host):
    return lambda path, who=None: Answer(host, f"https://www.example.test{path}", f"-u '{who}'" if who else "")


@pytest.mark.parametrize(
    ("path", "who", "status"),
    [
        ("/staff/", None, 401),
        ("/staff/", "alice:wrong", 401),
        ("/staff/", "carol:hello", 401),
        ("/staff/", ALICE, 200),
        ("/staff/", BOB, 200),
        ("/boss", BOB, 401),
        ("/boss", None, 401),
        ("/boss", ALICE, 204),
    ],
)
def test_who_may_come(get, path, who, status):
    answer = get(path, who)
    assert (answer.status, answer.lacks()) == (status, {})
    if status == 401:
        assert answer.headers["www-authenticate"] == ['Basic realm="www"']
        assert "<h1>401</h1>" in answer.body


def test_the_pool_does_not_see_passwords(get):
    assert "authorization" not in json.loads(get("/staff/", ALICE).body)["headers"]


def test_nobody_but_nginx_reads_the_hashes(host):
    for file in host.check_output(FILES).split():
        assert host.run(f"runuser -u nobody -- cat {file}").rc != 0
        assert "$2" in host.check_output(f"runuser -u www-data -- cat {file}")
        assert "hello" not in host.file(file).content_string


def test_a_new_password_holds_and_is_in_no_output(host, get):
    users = [{"name": "alice", "password": "another-secret-of-hers"}, {"name": "bob", "password": "hello"}]
    run = converge("--diff", "-vvv", nginx_users=users)
    assert run.code == 0 and run.changed > 0, run.said[-3000:]
    assert (get("/boss", ALICE).status, get("/boss", "alice:another-secret-of-hers").status) == (401, 204)
    hashes = [line.partition(":")[2] for line in host.check_output(f"cat $({FILES})").splitlines()]
    assert len(hashes) == 3 and not any(one in run.output for one in hashes)
    assert converge(nginx_users=users).changed == 0
    assert converge().code == 0
    assert get("/boss", ALICE).status == 204
