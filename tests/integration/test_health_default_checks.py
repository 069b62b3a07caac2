"""The checks that health.yml reads from the roles' cards are valid, and are those that the groups call for."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import define
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS
from playbook import play

SITES = [
    {"name": "shop", "domains": ["shop.test", "*.shop.test", "~^x"], "certificate": {"name": "shop"}, "locations": []},
    {"name": "plain", "domains": ["plain.test"], "locations": []},
]

# Without `ready` a service is ready where it is healthy.
SERVICE = {"image": "shop", "port": 80, "ports": {"blue": 8000, "green": 8010}}

# Names that are YAML, or the end of it.
ODD = {
    "registry_name": "[fd00::5]:5000",
    "postgresql_databases": [{"name": 'The "new": one'}],
    "mongodump_name": "x: y",
    "redis_name": "- [z]",
}

# Patroni archives.
HA = {"pgbackrest_archive": False, "patroni_pgbackrest": True}

INVENTORY = {
    "all": {
        "vars": {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "app_services": [
                {**SERVICE, "name": "sample", "instances": 3, "edge_port": 18000, "health": {"path": "/up"}},
                {**SERVICE, "name": "worker-only", "ports": {"blue": 8100, "green": 8200}},
            ],
            "registry_name": "images.test:5000",
        },
        "children": {
            "edge": {
                "vars": {"nginx_sites": SITES},
                "hosts": {"edge1": {}, "edge2": {"nginx_https_port": 8443, "nginx_addresses": ["10.0.0.2"]}},
            },
            "app": {"hosts": {"app1": {}}},
            "registry": {"hosts": {"store1": {}, "store2": {"registry_managed": True}, "odd1": ODD}},
            "other": {"hosts": {"other1": {}}},
            "mongodb": {"hosts": {"odd1": {}}},
            "redis": {"hosts": {"odd1": {}}},
            "broken": {"hosts": {"broken1": {}}},
            "search": {"hosts": {"search1": {}, "search2": {"search_port": 9300, "search_indexes": True}}},
            "data": {
                "vars": {"pgbackrest_repositories": [{"type": "host", "host": "backup1"}, {"type": "s3"}]},
                "children": {
                    "postgresql": {"hosts": {"db1": {}, "odd1": {}, "ha1": HA}},
                    "backup": {"hosts": {"backup1": {}, "backup2": {}}},
                },
            },
            "small": {
                "vars": {
                    "pgbackrest_repositories": [{"type": "path"}],
                    "postgresql_primary": "lone1",
                    "postgresql_databases": [{"name": "shop"}],
                },
                "children": {"postgresql": {"hosts": {"lone1": {}, "lone2": {}}}},
            },
        },
    }
}


# A role of somebody else's: its own directory, and nothing anywhere else.
SEARCH = {
    "defaults/main.yml": "search_port: 9200\nsearch_indexes: false",
    "meta/card.yml": """
groups: [search]
units: [search.service, {name: search-index.timer, when: "{{ search_indexes }}"}]
ports: [{name: api, port: "{{ search_port }}", from: [app]}]
metrics: [{job: search, port: "{{ search_port }}"}]
""",
    "meta/checks.yml.j2": "- {id: data.search.answers, kind: tcp, host: 127.0.0.1, port: {{ search_port }}}",
    "meta/policy.yml": "[{id: data.search.answers, title: Search answers, max_age: 24h}]",
}
# Each of them has checks that cannot be made, and would cost its hosts those of all other roles.
BROKEN = {
    "undefined": ("- {id: data.x.y, kind: tcp, host: 127.0.0.1, port: {{ x_port }}}", "'x_port' is undefined"),
    "no-yaml": ("- {id: data.x.y, kind: [tcp}", "gives no YAML"),
    "no-list": ("id: data.x.y", "gives dict, not a list of checks"),
    "no-kind": ("- {id: data.x.y, kind: tpc, port: 1}", "did you mean 'tcp'?"),
    "no-unit": ("[]", "'x_unit' is undefined"),
}
CARDS = {"no-unit": 'groups: [broken]\nunits: ["{{ x_unit }}"]'}
TERMS = ("checks", "policy", "ports", "metrics")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the cards tell each host of the inventory."""
    directory = tmp_path_factory.mktemp("inventory")
    theirs = {f"search/{name}": text for name, text in SEARCH.items()}
    for name, (checks, _) in BROKEN.items():
        theirs[f"{name}/meta/checks.yml.j2"] = checks
        theirs[f"{name}/meta/card.yml"] = CARDS.get(name, "groups: [broken]")
    for name, text in theirs.items():
        file = Path(directory / "roles" / name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (directory / "hosts.json").write_text(json.dumps(INVENTORY))
    playbook = directory / "play.yml"
    asked = [f"'{term}': query('slipway.ops.cards', '{term}')" for term in TERMS]
    copy = {
        "content": f"{{{{ {{{', '.join(asked)}}} | to_json }}}}",
        "dest": f"{directory}/{{{{ inventory_hostname }}}}.json",
        "mode": "0600",
    }
    tasks = [{"name": "Render", "ansible.builtin.copy": copy}]
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSIBLE_ROLES_PATH", str(directory / "roles"))
        run = play(playbook, directory / "hosts.json", timeout=300)
    assert run.code == 0, run.output
    return {path.stem: json.loads(path.read_text()) for path in directory.glob("*[12].json")}


@pytest.fixture(scope="module")
def checks(told):
    """The definitions of checks that each host gets."""
    return {host: one["checks"] for host, one in told.items()}


def subjects(definitions, identity):
    return [check.get("subject") for check in definitions if check["id"] == identity]


def test_all_of_them_are_valid_and_distinct(checks):
    for host, definitions in checks.items():
        defined = define(definitions, KINDS)
        keys = [(check.identity, check.subject or check.endpoint or host) for check in defined]
        assert len(keys) == len(set(keys)), host


def test_a_host_gets_what_its_groups_call_for(checks):
    everywhere = {check["id"] for check in checks["other1"]}
    assert "infrastructure.disk.root" in everywhere
    assert all(everywhere <= {check["id"] for check in definitions} for definitions in checks.values())
    assert {check["id"] for check in checks["store2"]} == everywhere
    assert "infrastructure.docker.runs" in {check["id"] for check in checks["app1"]} - everywhere


def test_edges_check_each_public_name_at_themselves(checks):
    assert subjects(checks["edge1"], "security.tls.certificate") == ["shop.test on edge1", "*.shop.test on edge1"]
    assert subjects(checks["edge1"], "application.service.ready") == ["sample through edge1"]
    (check,) = [
        check for check in checks["edge2"] if check.get("subject") == "shop.test on edge2" and check["kind"] == "tls"
    ]
    assert (check["host"], check["port"], check["address"]) == ("shop.test", 8443, "10.0.0.2")
    (ready,) = [check for check in checks["edge1"] if check["id"] == "application.service.ready"]
    assert ready["url"] == "http://127.0.0.1:18000/up"


def test_an_edge_asks_its_plain_sites_too(checks):
    """TLS may end before it."""
    (check,) = [check for check in checks["edge1"] if check.get("subject") == "plain.test on edge1"]
    assert (check["id"], check["url"]) == ("application.site.answers", "http://plain.test:80/")


def test_names_may_be_any_text(checks):
    """One check that was no YAML left the host without any."""
    claims = " ".join(check.get("claim", "") for check in checks["odd1"])
    assert all(name in claims for name in ('The "new": one', "x: y", "- [z]"))
    (database,) = [check for check in checks["odd1"] if check["id"] == "data.postgresql.index_hits"]
    assert database["database"] == 'The "new": one'
    (registry,) = [check for check in checks["odd1"] if check["kind"] == "tls"]
    assert (registry["host"], registry["port"]) == ("fd00::5", 5000)


def test_application_hosts_check_their_releases(checks):
    found = [check for check in checks["app1"] if check["kind"] == "release"]
    live = [check for check in found if "part" not in check]
    assert [(check["service"], check["instances"], check["ready"]) for check in live] == [
        ("sample", 3, "/up"),
        ("worker-only", 1, "/health"),
    ]
    assert [check["part"] for check in found if "part" in check] == ["workers", "workers", "warm", "warm"]


def test_registry(checks):
    (check,) = [check for check in checks["store1"] if check["kind"] == "tls"]
    assert (check["host"], check["port"]) == ("images.test", 5000)


def test_who_makes_backups_checks_their_age(checks):
    checking = [
        host for host, definitions in checks.items() if "data.backup.age" in {item["id"] for item in definitions}
    ]
    assert sorted(checking) == ["backup1", "lone1", "odd1"]


def test_each_engine_of_a_host_is_asked_for_its_own_backups(checks):
    """All of them asked for PostgreSQL's, and two with one subject left the host without any check."""
    ages = {
        check.get("subject"): check.get("engine", "postgresql")
        for check in checks["odd1"]
        if check["id"] == "data.backup.age"
    }
    assert ages == {"- [z] on odd1": "redis", "x: y on odd1": "mongodb"}


def test_databases_check_their_limits_and_their_standbys(checks):
    assert subjects(checks["lone1"], "data.postgresql.index_hits") == ["shop on lone1"]
    measuring = {
        host: {item["id"].removeprefix("data.postgresql.") for item in definitions if item["kind"] == "postgresql"}
        for host, definitions in checks.items()
    }
    everything = {"pool_use", "mean_query_time", "index_hits", "replication_lag"}
    assert (measuring["lone1"], measuring["lone2"], measuring["backup1"]) == (everything, everything, set())


def test_a_role_with_a_card_is_known_without_any_list(told):
    first, second, other = (
        [check for check in told[host]["checks"] if "search" in check["id"]] for host in ("search1", "search2", "app1")
    )
    assert [check["id"] for check in first] == ["infrastructure.search.runs", "data.search.answers"]
    assert [check.get("port") or check["unit"] for check in second] == ["search.service", "search-index.timer", 9300]
    assert other == []
    assert {"role": "search", "name": "api", "port": 9200, "from": ["app"]} in told["search1"]["ports"]
    assert {"role": "search", "job": "search", "port": 9300} in told["search2"]["metrics"]
    # What must be proven is of the whole inventory, whoever asks.
    assert all("data.search.answers" in {one["id"] for one in told[host]["policy"]} for host in told)


@pytest.mark.parametrize("role", BROKEN)
def test_checks_that_cannot_be_made_are_one_line_and_cost_no_others(checks, role):
    (line,) = [check for check in checks["broken1"] if check["kind"] == "unmeasured" and role in check["id"]]
    assert line["id"] == f"operations.{role}.checks" and BROKEN[role][1] in line["reason"], line
    assert "\n" not in line["reason"]
    assert len(checks["broken1"]) == len(checks["other1"]) + len(BROKEN) and define([line], KINDS)
    assert not [check for host in set(checks) - {"broken1"} for check in checks[host] if check["kind"] == "unmeasured"]


def test_archivers_look_at_every_repository(checks):
    assert subjects(checks["lone1"], "data.backup.reachable") == ["repository 1 from lone1"]
    assert subjects(checks["backup1"], "data.backup.reachable") == []
    assert subjects(checks["ha1"], "data.backup.reachable") == ["repository 1 from ha1"]
