from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError, access


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ({"address": "10.1.0.0/16"}, "hostssl all all 10.1.0.0/16 scram-sha-256"),
        (
            {"database": ["shop", "a b"], "user": "Ann", "address": "samenet"},
            'hostssl shop,"a b" Ann samenet scram-sha-256',
        ),
        ({"address": "10.1.1.5"}, "hostssl all all 10.1.1.5/32 scram-sha-256"),
        ({"address": "fd00::/8", "method": "cert"}, "hostssl all all fd00::/8 cert"),
        ({"address": "db2.example.com"}, "hostssl all all db2.example.com scram-sha-256"),
        ({"type": "host", "address": "127.0.0.1"}, "host all all 127.0.0.1/32 scram-sha-256"),
        ({"type": "host", "address": "all", "method": "reject"}, "host all all all reject"),
        ({"type": "local", "method": "peer", "options": {"map": "staff"}}, "local all all peer map=staff"),
    ],
)
def test_rules_become_lines(rule, line):
    assert access.line(rule) == line


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"address": "10.0.0.0/8", "method": "md5"}, "method 'md5' is refused for hostssl"),
        ({"address": "10.0.0.0/8", "method": "password"}, "method 'password' is refused"),
        ({"type": "local", "method": "trust"}, "method 'trust' is refused for local"),
        ({"type": "host", "address": "10.0.0.0/8"}, "type must be hostssl, so that TLS is required"),
        ({"type": "host", "address": "all"}, "type must be hostssl"),
        ({"type": "host", "address": "samenet"}, "type must be hostssl"),
        ({"type": "hostnossl", "address": "all"}, "type 'hostnossl' is none of"),
        ({"method": "scram-sha-256"}, "it needs an address"),
        ({"address": "10.0.0.0/33"}, "address '10.0.0.0/33'"),
        ({"address": "10.1.2.3/16"}, "has host bits set"),
        ({"address": "a b"}, "address 'a b'"),
        ({"type": "local", "address": "all", "method": "peer"}, "a local rule has no address"),
        ({"address": "all", "user": 'x" all all trust'}, "has a quote or line break"),
        ({"address": "all", "database": "shop\nlocal all all trust"}, "has a quote or line break"),
        ({"address": "all", "databse": "shop"}, "databse is no key of a rule"),
        ({"address": "all", "user": []}, "is not a name or a list of names"),
    ],
)
def test_what_would_let_the_wrong_ones_in_is_refused(rule, said):
    with pytest.raises(PostgresqlError) as caught:
        access.lines([{"address": "all"}, rule])
    assert str(caught.value).startswith("rule 2: ") and said in str(caught.value)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(PostgresqlError) as caught:
        access.lines([{"method": "md5"}, {"address": "all"}, {"type": "x"}])
    assert [problem.split(":")[0] for problem in str(caught.value).splitlines()] == ["rule 1", "rule 3"]


def test_unquoted_words_keep_their_special_meaning():
    assert access.line({"database": "replication", "address": "all"}).startswith("hostssl replication all ")
    assert access.line({"user": "+staff", "address": "all"}).split()[2] == "+staff"
