"""Documents: what they say of inventory and evidence, and what they never say without any."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import readiness_sample as sample
import yaml
from ansible_collections.slipway.ops.plugins.filter.documents import documents_host
from ansible_collections.slipway.ops.plugins.filter.period_report import FilterModule as Period
from ansible_collections.slipway.ops.plugins.filter.readiness import FilterModule as Readiness
from ansible_collections.slipway.ops.plugins.plugin_utils.documents import book, register
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.files import files_of
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.manual import readable
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.model import marked
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.proof import prove
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.system import read_system
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.tables import SOURCES
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.texts import LANGUAGES, Texts, data
from ansible_collections.slipway.ops.plugins.plugin_utils.preflight import playbook_options
from pages import Reader, resolved
from playbook import ROOT

PLACE = ROOT / "plugins/plugin_utils/documents"
HANGUL = re.compile("[가-힣]")
ATTACK = "</td><script>alert(1)</script> | `x` [a](javascript:b)\n\n# {{ 7 * 7 }} {system}"
SERVICE: dict[str, Any] = {
    "name": "shop",
    "image": "registry1:5000/shop",
    "port": 80,
    "ports": {"blue": 8000, "green": 8100},
    "edge_port": 18000,
    "secrets": {"jwt_secret": "hunter2"},
    "volumes": [{"name": "uploads", "path": "/data"}],
}


def host(name: str, *groups: str, **more: Any) -> dict[str, Any]:
    roles = {
        "postgresql": ["postgresql", "pgbackrest", "drill"],
        "edge": ["nginx", "haproxy"],
        "monitor": ["prometheus"],
    }
    told = {"address": f"{name}.test", "groups": list(groups), "services": [], "values": {}}
    units = [{"role": role, "name": f"{role}.service"} for group in groups for role in roles.get(group, [])]
    ports = [{"role": "nginx", "name": "https", "port": 443, "from": ["anywhere"]}] if "edge" in groups else []
    return (
        told
        | {"units": units, "ports": ports, "logs": [{"role": "baseline", "path": "/var/log/syslog"}], "engines": []}
        | more
    )


def alerts(*roles: str) -> list[dict[str, Any]]:
    return [
        {"role": role, "groups": yaml.safe_load((ROOT / f"roles/{role}/meta/alerts.yml").read_text())["groups"]}
        for role in roles
    ]


def told(evidence: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """All that the playbook gathers, of a system at the sample's moment."""
    evidence = sample.evidence() if evidence is None else evidence
    at = sample.NOW.isoformat().replace("+00:00", "Z")
    repository = {"place": "host backup1", "encrypted": "AES-256", "retention": "30d"}
    return {
        "system": "kiwi",
        "command": "ansible-playbook slipway.ops.documents",
        "hosts": {
            "app1": host("app1", "app", services=[SERVICE]),
            "db1": host("db1", "postgresql", engines=["postgresql"], values={"pgbackrest_repositories": [repository]}),
            "edge1": host("edge1", "edge", values={"nginx_log_days": 9}),
            "monitor1": host("monitor1", "monitor"),
        },
        "alerts": alerts("haproxy", "drill", "postgresql"),
        "jobs": [
            {
                "name": "drill",
                "playbook": "playbooks/drill.yml",
                "schedule": "FREQ=WEEKLY;BYDAY=SU;BYHOUR=7",
                "approval": "1h",
            }
        ],
        "timezone": "Asia/Seoul",
        "evidence": {"store": "/var/lib/slipway/evidence", "damaged": [], **evidence},
        "assessment": Readiness().filters()["readiness"](sample.policy(), evidence["records"], [], "en", at),
        "graphs": "http://localhost:9090",
        "contacts": [{"name": "Jiwoo", "duty": "releases", "reach": "jiwoo@example.test"}],
        "processing": [{"what": "Orders", "purpose": "Delivery"}],
        **changes,
    }


def test_the_map_has_every_door_and_who_comes_and_nothing_else() -> None:
    doors = [
        {"role": "app", "name": "shop", "port": "8000-8002", "from": ["edge", "10.0.0.0/8"]},
        {"role": "app", "name": "nobody", "port": 9999, "from": []},
        {"role": "app", "name": "own", "port": 9998, "from": ["app"], "address": "127.0.0.1"},
        {"role": "wireguard", "name": "tunnel", "port": 51820, "protocol": "udp", "from": ["bastion"]},
    ]
    metrics = [{"role": "app", "job": "shop", "port": 9100}]
    made = files(
        hosts={
            name: host(name, "app", ports=doors, metrics=metrics, firewall_from={"wireguard.tunnel": ["lab"]})
            for name in ("app1", "app2")
        }
        | {"e<1>": host("e<1>", "edge"), "db1": host("db1", "x")}
    )
    for language, everybody in (("en", "anywhere"), ("ko", "모든 곳")):
        page, text = made[f"{language}/network.html"], made[f"{language}/network.md"]
        (drawn,) = re.findall(r"<svg class=\"net\".*?</svg>", page, re.DOTALL)
        assert re.findall(r'net-house"[^>]*>([^<]*)<', drawn) == ["app1, app2", "e&lt;1&gt;"]
        assert re.findall(r'net-port"[^>]*>([^<]*)<', drawn) == [
            "8000-8002  app.shop",
            "9100  app.metrics-shop",
            "51820/udp  wireguard.tunnel",
            "443  nginx.https",
        ]
        assert sorted(re.findall(r'net-from"[^>]*>([^<]*)<', drawn)) == sorted(
            ["edge", "10.0.0.0/8", "monitor", "lab", everybody]
        )
        assert (drawn.count('"net-line"'), drawn.count('"net-open"'), drawn.count("<circle")) == (4, 1, 4)
        assert not any(word in page + text for word in ("nobody", "9998", "bastion")) and "svg" not in text
        assert "[db1](host-db1.md)" in text
        assert (
            f"| `443` | nginx.https | {everybody} |" in text and "| `8000-8002` | app.shop | edge, 10.0.0.0/8 |" in text
        )
    assert '<svg class="net"' not in files(hosts={"db1": host("db1", "postgresql")})["en/network.html"]


NOTHING: dict[str, Any] = {"records": [], "history": []}


def files(evidence: dict[str, Any] | None = None, **changes: Any) -> dict[str, str]:
    return files_of(read_system(told(evidence, **changes)))


def record(identifier: str, subject: str = "shop", hours: float = 1, **more: Any) -> dict[str, Any]:
    return sample.record(identifier, subject, "A claim", hours=hours, **more)


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return files()


def test_each_page_is_whole_small_and_needs_nothing_else(made: dict[str, str]) -> None:
    for path, text in made.items():
        assert len(text.encode()) <= 300_000, path
        if path.endswith(".html"):
            read = Reader(text)
            assert read.open == [] and len(read.ids) == len(set(read.ids)), path
            assert not {"script", "link", "img", "iframe", "object", "form"} & set(read.tags), path
            assert not [name for name in read.attributes if name.startswith("on") or name == "style"], path
            assert not re.search(r"url\(|@import", text), path
            assert f'lang="{path[:2]}"' in text


def test_every_link_of_html_leads_somewhere(made: dict[str, str]) -> None:
    read = {path: Reader(text) for path, text in made.items() if path.endswith(".html")}
    for path, page in read.items():
        for link in page.links:
            if link.startswith("http://localhost:9090/graph?"):
                continue
            target, anchor = resolved(path, link)
            assert target in read, f"{path}: {link}"
            assert not anchor or anchor in read[target].ids, f"{path}: {link}"
    reached = {resolved("en/index.html", link)[0] for link in read["en/index.html"].links}
    assert {path for path in read if path.startswith("en/")} - reached == {"en/index.html"}


def test_every_link_of_markdown_leads_somewhere(made: dict[str, str]) -> None:
    for path, text in made.items():
        if path.endswith(".md"):
            for link in re.findall(r"(?<!\\)\]\(([^)]+)\)", text):
                if link.startswith("http://localhost:9090/graph?"):
                    continue
                target, anchor = resolved(path, link)
                assert target in made, f"{path}: {link}"
                assert not anchor or f'<a id="{anchor}"></a>' in made[target], f"{path}: {link}"


def test_both_languages_have_the_same_documents(made: dict[str, str]) -> None:
    names = {language: {path[3:] for path in made if path.startswith(f"{language}/")} for language in LANGUAGES}
    assert names["en"] == names["ko"]
    expected = {
        "index",
        "operations",
        "incidents",
        "deployment",
        "recovery",
        "handover",
        "privacy",
        "completion",
        "network",
    }
    expected |= {"release-checklists", "review-monthly", "review-quarterly", "review-yearly", "asked"}
    expected |= {"service-shop", *(f"host-{name}" for name in ("app1", "db1", "edge1", "monitor1"))}
    assert names["en"] == {f"{one}.{ending}" for one in expected for ending in ("html", "md")}


def texts() -> Iterator[tuple[str, dict[str, str]]]:
    """Every text in languages of every file."""

    def within(value: Any, where: str) -> Iterator[tuple[str, dict[str, str]]]:
        if isinstance(value, dict) and {"en", "ko"} & value.keys() and not isinstance(value.get("en"), dict):
            yield where, value
        elif isinstance(value, (dict, list)):
            for name, one in value.items() if isinstance(value, dict) else enumerate(value):
                yield from within(one, f"{where}.{name}")

    for path in sorted(PLACE.rglob("*.yml")):
        if path.name != "alerts.yml":
            yield from within(yaml.safe_load(path.read_text()), path.name)


def test_every_text_is_in_both_languages_with_the_same_code_and_links() -> None:
    for where, text in texts():
        assert text.keys() == {"en", "ko"}, where
        assert not HANGUL.search(text["en"]), where
        assert HANGUL.search(text["ko"]) or text["ko"] == text["en"] or "{" in text["ko"], where
        for mark in (r"`([^`]+)`", r"\]\(([^)]+)\)", r"{(\w+)"):
            assert sorted(set(re.findall(mark, text["en"]))) == sorted(set(re.findall(mark, text["ko"]))), where


def test_every_command_is_a_playbook_with_variables_that_it_takes() -> None:
    commands = {one for _where, text in texts() for one in re.findall(r"`(ansible-playbook [^`]+)`", text["en"])}
    commands |= {one for entry in data("asked.yml") for one in entry.get("found", []) if " " in one}
    assert len(commands) > 25
    for command in commands:
        verb = re.search(r"slipway\.ops\.(\w+)", command)[1]  # type: ignore[index]
        assert (ROOT / f"playbooks/{verb}.yml").exists(), command
        known = set(playbook_options().get(verb, {}))
        known |= set(re.findall(r"^# +(\w+) ", (ROOT / f"playbooks/{verb}.yml").read_text(), re.MULTILINE))
        assert set(re.findall(r"-e (\w+)=", command)) <= known, command


def test_every_proof_is_of_what_something_measures() -> None:
    sources = [
        *ROOT.glob("roles/*/meta/*"),
        *ROOT.glob("roles/*/templates/*"),
        *ROOT.glob("plugins/module_utils/**/*.py"),
    ]
    sources += [*ROOT.glob("plugins/modules/*.py"), *ROOT.glob("plugins/filter/*.py"), *ROOT.glob("playbooks/**/*.yml")]
    sources += [ROOT / "plugins/plugin_utils/drift.py"]
    known = "\n".join(path.read_text() for path in sources if path.is_file())
    for page in book.pages():
        for section in page["sections"]:
            for part in section["parts"]:
                for check in part.get("checks", []):
                    for pattern in check.get("proof", []):
                        assert re.search(rf"\b{re.escape(pattern.split('*')[0])}", known), f"{page['id']}: {pattern}"


def test_every_table_is_used_and_every_page_is_of_a_kind() -> None:
    used = {
        part["from"]
        for page in book.pages()
        for section in page["sections"]
        for part in section["parts"]
        if "from" in part
    }
    assert used == set(SOURCES)
    assert {page["kind"] for page in book.pages()} == set(book.KINDS)


def test_what_is_asked_for_is_found_or_left_with_a_reason() -> None:
    made = {document.id: book.anchors(document) for document in book.documents(read_system(told()), "en")}
    entries = data("asked.yml")
    assert {one["system"] for one in entries} == set("ABCD")
    for one in entries:
        assert ("found" in one) != ("left" in one), one
        for found in one.get("found", []):
            if " " not in found:
                document, _, section = found.partition("#")
                assert document in made and (not section or section in made[document]), found


@pytest.mark.parametrize(
    ("system", "words", "kind"),
    [
        ("A", "Failure test of the database", "found"),
        ("A", "Failure tests of an instance", "left"),
        ("A", "under load", "found"),
        ("A", "Instances that follow the load", "found"),
        ("A", "further servers of the cloud", "left"),
        ("A", "Notice to users", "found"),
        ("A", "Image scan", "left"),
        ("C", "Vulnerability scans", "found"),
        ("C", "VPN or bastion", "found"),
        ("D", "Kubernetes manifests", "found"),
        ("D", "CDN", "left"),
    ],
)
def test_a_line_that_is_lost_or_turned_round_is_seen(system: str, words: str, kind: str) -> None:
    """What systems ask for by their own documents, and whether Slipway does it."""
    (entry,) = (one for one in data("asked.yml") if one["system"] == system and words in one["asked"]["en"])
    assert kind in entry, entry


def test_what_a_playbook_does_is_not_left_to_people() -> None:
    found = " ".join(one for entry in data("asked.yml") for one in entry.get("found", []))
    assert {"notice", "kubernetes"} <= {*re.findall(r"slipway\.ops\.(\w+)", found)} and "completion#cost" in found


def test_the_completion_report_has_the_inventorys_prices_and_says_which_are_lacking() -> None:
    prices = {"app1": 40, "db1": "", "edge1": 40, "monitor1": "12.5"}
    said = files(costs=Period().filters()["period_costs"](prices, {"Object store": 7}, "USD"))
    english, korean = (said[f"{language}/completion.md"] for language in ("en", "ko"))
    for row in ("| app1, edge1 | 2 | 40.00 | 80.00 |", "| monitor1 | 1 | 12.50 | 12.50 |", "| Object store | 1 | 7.00"):
        assert row in english and row in korean
    assert "| Together | — | — | 99.50 USD |" in english and "99.50 USD" in korean
    (lacking,) = (line for line in english.splitlines() if line.startswith("Hosts without a price"))
    assert "[db1](host-db1.md)" in lacking and "app1" not in lacking and "no host has a price" not in english


def test_without_any_price_the_completion_report_says_so(made: dict[str, str]) -> None:
    assert "no host has a price (`report_price`)" in made["en/completion.md"]


def test_the_register_names_variables_that_roles_have() -> None:
    for name, role in register.variables().items():
        specs = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]
        assert name in specs["main"]["options"], f"{role}: {name}"


def test_recovery_tells_what_a_drill_measured_beside_its_limit(made: dict[str, str]) -> None:
    rto = next(one for one in sample.evidence()["records"] if one["id"] == "data.drill.postgresql.rto")
    row = next(line for line in made["en/recovery.md"].splitlines() if "(PostgreSQL)" in line)
    assert rto["subject"] in row and "not measured" not in row
    assert re.search(r"\d+(\.\d)?(s|m|h)", row.split("|")[2]), row


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_evidence_everything_says_that_nothing_was_measured(language: str) -> None:
    missing = {"en": "not measured", "ko": "측정되지 않음"}[language]
    said = {
        path[3:-3]: text for path, text in files(NOTHING).items() if path.startswith(language) and path.endswith(".md")
    }
    row = next(line for line in said["recovery"].splitlines() if line.startswith("| PostgreSQL"))
    assert row.count(missing) == 3
    for name in ("deployment", "completion", "review-monthly", "release-checklists", "host-app1", "service-shop"):
        assert missing in said[name].lower(), name
    assert "[x]" not in "".join(said.values())


def test_limits_of_a_store_that_was_never_drilled_are_those_of_the_inventory() -> None:
    hosts = told()["hosts"]
    hosts["db1"]["values"] |= {"drill_limits": {"rto": "2h", "rpo": "24h"}}
    row = next(
        line for line in files(NOTHING, hosts=hosts)["en/recovery.md"].splitlines() if line.startswith("| PostgreSQL")
    )
    assert row == "| PostgreSQL | not measured | 2h | not measured | 24h | not measured |"


@pytest.mark.parametrize(
    ("records", "state", "count"),
    [
        ([], "missing", 0),
        ([record("a.b.other")], "missing", 0),
        ([record("application.x.y", verdict="skip", reason="none")], "missing", 0),
        ([record("application.x.y")], "pass", 1),
        ([record("application.x.y", hours=49)], "stale", 1),
        ([record("application.x.y", "a"), record("application.x.z", "b", verdict="warn", reason="near")], "warn", 2),
        (
            [
                record("application.x.y", verdict="unknown", reason="late"),
                record("application.x.z", verdict="warn", reason="n"),
            ],
            "unknown",
            2,
        ),
        ([record("application.x.y", hours=99, verdict="fail", reason="500"), record("application.x.z")], "fail", 2),
    ],
)
def test_a_line_of_a_checklist_is_as_its_worst_fresh_record(records: list[Any], state: str, count: int) -> None:
    proof = prove(read_system(told({"records": records, "history": []})), ["application.*"], 2)
    assert (proof.state, proof.count) == (state, count)


def test_a_failed_check_says_why_and_is_not_ticked() -> None:
    said = files({"records": [record("application.x.y", verdict="fail", reason="answers 500")], "history": []})
    assert "- [ ] Every service passes its checks — failed: shop: answers 500" in said["en/release-checklists.md"]
    good = files({"records": [record("application.x.y")], "history": []})
    assert "- [x] Every service passes its checks — proven: 1 measured" in good["en/release-checklists.md"]


def test_the_share_of_releases_is_of_those_that_were_made() -> None:
    past = [record("delivery.deploy.result", hours=n + 2, measured="1.0.0") for n in range(18)]
    past += [record("delivery.deploy.result", hours=n + 30, verdict="fail", reason="never healthy") for n in range(2)]
    past.append(record("delivery.deploy.result", hours=40 * 24, verdict="fail", reason="old"))
    said = files({"records": past[:1], "history": past})["en/review-monthly.md"]
    assert "| Last 30 days | 90 % (18 of 20) | ≥ 95 % |" in said
    assert "| Last 90 days | 85 % (18 of 21) | ≥ 98 % |" in said


def test_a_release_that_its_bake_took_back_is_a_failed_one() -> None:
    past = [record("delivery.deploy.result", hours=n, measured=f"{9 - n}.0.0") for n in (9, 5, 2)]
    bakes = [
        record(
            "delivery.bake.result", f"shop on {host}", hours=4, verdict="fail", measured="4.0.0", reason="half fails"
        )
        for host in ("app1", "edge1")
    ]
    made = files({"records": [past[2], *bakes], "history": [*past, *bakes]})
    assert "66 % (2 of 3)" in made["en/review-monthly.md"]
    rows = [line for line in "".join(made.values()).splitlines() if "| shop | release | 4.0.0 |" in line]
    assert rows and all("fail: half fails" in row for row in rows)
    assert any("| 7.0.0 | pass" in line for line in "".join(made.values()).splitlines())


def test_an_alert_has_its_threshold_graph_first_steps_and_way_back(made: dict[str, str]) -> None:
    section = made["en/incidents.md"].partition("### ErrorShareHigh")[2].partition("###")[0]
    assert "critical: somebody is called at once" in section
    link = re.search(r"\(http://localhost:9090/graph\?g0\.expr=([^&]+)&", section)
    rule = next(one for one in told()["alerts"][0]["groups"][0]["rules"] if one["alert"] == "ErrorShareHigh")
    assert link and unquote(link[1]) == " ".join(rule["expr"].split())
    assert "journalctl -u haproxy" in section and "slipway.ops.rollback" in section
    assert "$labels" not in "".join(made.values())


def test_an_alerts_own_text_in_korean_names_what_it_names_in_english() -> None:
    roles = sorted(path.parents[1].name for path in ROOT.glob("roles/*/meta/alerts.yml"))
    english = {one.name: one for one in read_system(told(alerts=alerts(*roles))).alerts}
    korean = data("alerts.yml")
    assert korean.keys() == english.keys()
    for name, text in korean.items():
        for kind in ("summary", "runbook"):
            named = {*re.findall(r"<\w+>", readable(getattr(english[name], kind)))}
            assert set(re.findall(r"<\w+>", text[kind])) == named and HANGUL.search(text[kind]), f"{name}: {kind}"
    said = files()["ko/incidents.md"].partition("### PoolDown")[2].partition("###")[0]
    assert "정상 서버가 없음" in said


def test_alerts_are_those_of_the_inventory() -> None:
    said = files(alert_changes={"PoolDown": {"enabled": False}, "HaproxyAbsent": {"severity": "critical", "for": "1h"}})
    text = said["en/incidents.md"]
    assert "### PoolDown" not in text
    section = text.partition("### HaproxyAbsent")[2].partition("###")[0]
    assert "critical" in section and "for 1h" in section
    assert "No role of this inventory brings alerts" in files(alerts=[])["en/incidents.md"]


def test_the_register_tells_the_inventorys_times_and_defaults(made: dict[str, str]) -> None:
    rows = [line for line in made["en/privacy.md"].splitlines() if line.startswith("| ")]
    assert any("edge" in row and "9 days" in row for row in rows)
    assert any("host backup1" in row and "30d" in row and "AES-256" in row for row in rows)
    assert any("Measurements" in row and "30d, at most 10GB" in row for row in rows)
    assert any("shop/uploads" in row and "[app1](host-app1.md)" in row for row in rows)
    unsaid = next(row for row in rows if row.startswith("| Orders"))
    assert unsaid.count("documents\\_processing") == 3


def kept(values: dict[str, Any], *roles: str) -> list[str]:
    """The register's rows of a host with these roles, as its variables are."""
    units = [{"role": role, "name": f"{role}.service"} for role in roles]
    picked = documents_host({"inventory_hostname": "x1", "group_names": ["x"], **values})["values"]
    page = files(hosts={"x1": host("x1", "x", units=units, values=picked)})["en/privacy.md"]
    return [line.replace("\\", "") for line in page.splitlines() if "host-x1.md" in line and "journal" not in line]


SECRET = {"key": "hunter2", "secret": "hunter2"}


@pytest.mark.parametrize(
    ("values", "told", "untold"),
    [
        ({}, "/var/lib/mongodump | 7 days | After a newer dump is good |", "bucket"),
        ({"mongodump_s3": {}}, "/var/lib/mongodump | 7 days | After a newer dump is good |", "bucket"),
        (
            {"mongodump_s3": {"url": "https://me:hunter2@s3.test/dumps/a", **SECRET}, "mongodump_retention_days": 9},
            "https://s3.test/dumps/a | 9 days; where the bucket has versions, until its owner deletes them |",
            "/var/lib/mongodump",
        ),
        ({"redis_flavour": "valkey"}, "/var/lib/redis-backup | 7 days | After a newer copy is good |", "bucket"),
        (
            {"redis_s3": {"url": "https://s3.test/redis/a", **SECRET}},
            "https://s3.test/redis/a | 7 days; where the bucket has versions, until its owner deletes them |",
            "/var/lib/redis-backup",
        ),
        ({}, "The repository of the backup host; from /srv | 9d | restic forgets and prunes", "no schedule"),
        (
            {"restic_repository": "rest:https://me:hunter2@s3.test/files/a"},
            "rest:https://s3.test/files/a; from /srv | Until the owner of the repository removes it | By the owner",
            "prunes",
        ),
    ],
)
def test_the_register_tells_where_backups_really_are(values: dict[str, Any], told: str, untold: str) -> None:
    sources = {"restic_sources": [{"name": "uploads", "paths": ["/srv"], "retention_days": 9}]}
    rows = "\n".join(kept(sources | values, "mongodump", "redis", "restic"))
    assert told in rows and untold not in rows and "hunter2" not in rows, rows


def test_the_register_tells_of_servers_by_what_they_are() -> None:
    (mongodb,) = kept({"mongodb_members": ["x1"]}, "mongodb")
    assert "| /var/lib/mongodb | As long as the service keeps it |" in mongodb
    assert "| /var/lib/valkey |" in kept({"redis_flavour": "valkey"}, "redis")[0]
    assert "| /var/lib/redis |" in kept({}, "redis")[0]


def test_a_bucket_that_nobody_can_work_out_is_not_told_as_a_directory() -> None:
    units = [{"role": "redis", "name": "redis-server.service"}]
    said = files(hosts={"x1": host("x1", units=units, values={"redis_s3": None})})["en/privacy.md"]
    row = next(line for line in said.splitlines() if "in a bucket" in line)
    assert "not known from here" in row and "redis-backup" not in said


def test_a_value_that_nobody_knows_says_so() -> None:
    hosts = told()["hosts"]
    hosts["edge1"]["values"] = {"nginx_log_days": None}
    row = next(line for line in files(hosts=hosts)["en/privacy.md"].splitlines() if "Access and error" in line)
    assert "not known from here" in row


def test_damaged_lines_of_the_store_are_told_on_every_page() -> None:
    said = files({**sample.evidence(), "damaged": [{"file": "x", "offset": 3}]})
    assert all("1 lines of the store" in text for path, text in said.items() if path.startswith("en/"))


@pytest.mark.parametrize(
    "junk", [None, 7, {}, {"id": "a"}, {"id": "x.y.z", "subject": "s", "verdict": "pass", "at": "soon"}]
)
def test_records_that_are_none_are_left_out(junk: Any) -> None:
    system = read_system(told({"records": [], "history": []}) | {"evidence": {"records": [junk], "history": [junk]}})
    assert (list(system.records), list(system.history)) == ([], [])


def test_what_inventory_and_evidence_say_stays_text() -> None:
    hosts = told()["hosts"]
    hosts["app1"]["address"] = ATTACK
    bad = record("application.x.y", ATTACK, verdict="fail", reason=ATTACK, measured=ATTACK, limit=None)
    made = files(
        {"records": [bad, record("delivery.deploy.result", ATTACK, measured=ATTACK)], "history": []},
        hosts=hosts,
        contacts=[{"name": ATTACK, "duty": ATTACK, "reach": ATTACK}],
        processing=[{"what": ATTACK}],
        system=ATTACK,
    )
    plain = files(NOTHING)
    for path, text in made.items():
        outside = re.sub(r"(`+).+?\1(?!`)", "", text) if path.endswith(".md") else text
        assert "<script" not in outside.replace("\\<script", ""), path
        if path.endswith(".md"):
            assert not re.search(r"(?<!\\)\]\(javascript", outside), path
            assert "\n# {{" not in text, path
            assert [line.count(" | ") for line in text.splitlines() if line.startswith("| Host |")] == [
                line.count(" | ") for line in plain[path].splitlines() if line.startswith("| Host |")
            ]
        else:
            assert not [link for link in Reader(text).links if link.startswith("javascript")], path


def test_our_own_texts_have_marks_and_names() -> None:
    line = marked("Run `a -e x={subject}`, see [the plan](recovery#measured).", {"subject": "`db`"})
    assert [(span.text, span.code, span.link) for span in line] == [
        ("Run ", False, ""),
        ("a -e x=`db`", True, ""),
        (", see ", False, ""),
        ("the plan", False, "recovery#measured"),
        (".", False, ""),
    ]


@pytest.mark.parametrize("language", ["de", "", "EN"])
def test_another_language_is_refused(language: str) -> None:
    with pytest.raises(ValueError, match="there are in en, ko"):
        Texts(language)


def test_an_inventory_without_hosts_is_refused() -> None:
    with pytest.raises(ValueError, match="no hosts"):
        read_system(told(hosts={}))


def test_hosts_without_groups_and_services_have_documents_too() -> None:
    said = files(NOTHING, hosts={"kiwi1": host("kiwi1")}, alerts=[], jobs=[], contacts=[], processing=[])
    assert "The inventory has no services" in said["en/operations.md"]
    assert "No job is on the list." in said["en/operations.md"]
    assert "Nobody is named." in said["en/handover.md"]
    assert "the inventory has no data store" in said["en/recovery.md"]


def test_two_hosts_of_one_page_are_refused() -> None:
    hosts = {"a:1": host("a:1"), "a-1": host("a-1")}
    with pytest.raises(ValueError, match="host-a-1"):
        files(hosts=hosts)


def test_of_a_host_no_secret_is_picked() -> None:
    variables = {
        "inventory_hostname": "app1",
        "group_names": ["app"],
        "ansible_host": "192.0.2.1",
        "app_services": [copy.deepcopy(SERVICE)],
        "pgbackrest_repositories": [{"type": "s3", "s3_bucket": "b", "cipher_pass": "hunter2", "s3_secret": "hunter2"}],
        "restic_sources": [{"name": "uploads", "paths": ["/srv"], "retention_days": 9}],
        "nginx_log_days": 5,
        "vault_password": "hunter2",
    }
    found = documents_host(variables)
    assert "hunter2" not in str(found)
    assert found["values"]["pgbackrest_repositories"] == [{"place": "s3 b", "encrypted": "AES-256", "retention": "30d"}]
    assert found["values"]["restic_sources"][0]["retention"] == "9d"
    assert found["values"]["nginx_log_days"] == 5 and found["services"][0]["secrets"] == {"jwt_secret": ""}


def test_pages_are_named_once() -> None:
    names = [re.sub(r"^\d+-", "", path.stem) for path in Path(PLACE / "pages").glob("*.yml")]
    assert len(names) == len(set(names))
