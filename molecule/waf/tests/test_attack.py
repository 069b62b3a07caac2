"""`attack.yml`, from the controller: what was tried, what came back, and what a protection that is gone is told as."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from machine import crowding, until
from playbook import play

INVENTORY = Path(__file__).resolve().parents[1] / "inventory.yml"
SHOP = "/etc/nginx/waf/shop.conf"
SITE = "/etc/nginx/sites/shop.conf"
WHO = "/etc/nginx/slipway/requests.conf"


@pytest.fixture
def attack(host, tmp_path):
    """Runs it against this edge; what was recorded is in `tmp_path`."""
    address = host.check_output("hostname -I").split()[0]

    def run(*options, **variables):
        return play("attack", INVENTORY, *options, attack_address=address, evidence_store=str(tmp_path), **variables)

    return run


def records(store):
    """Verdicts by id and site."""
    lines = [line for path in (store / "records").glob("*.jsonl") for line in path.read_text().splitlines()]
    found = [json.loads(line) for line in lines]
    return {(one["id"].rpartition(".")[2], one["subject"].split()[0]): one["verdict"] for one in found}


def pictures(store):
    found = [json.loads(path.read_text()) for path in (store / "artifacts").glob("*/attack-*.json")]
    return {one["site"]: {attempt["id"]: attempt for attempt in one["attempts"]} for one in found}


def requests_of_attacks(host):
    return int(host.check_output("grep -c slipway/attack /var/log/nginx/access.log || true"))


def test_each_site_is_as_protected_as_the_inventory_says(host, attack, tmp_path):
    ran = attack()
    assert ran.code == 0, ran.output
    assert ran.changed == 0
    found, seen = records(tmp_path), pictures(tmp_path)
    assert {site for _, site in found} == {"shop", "new", "plain"}
    assert {verdict for (_, site), verdict in found.items() if site == "shop"} == {"pass"}
    assert {attempt["verdict"] for attempt in seen["shop"].values()} == {"pass"}
    for site, mode in (("new", "detect"), ("plain", "none")):
        weak = {group for (group, name), verdict in found.items() if name == site and verdict == "warn"}
        assert weak == {"payloads", "scanners", "hidden"}
        assert {verdict for (group, name), verdict in found.items() if name == site and group not in weak} == {"pass"}
        assert seen[site]["sql_injection.json"]["why"] == f"waf_{mode}"
        assert seen[site]["sql_injection.json"]["came"] == "200"
        assert "not protected payloads" in ran.output
    assert seen["shop"]["sql_injection.json"]["came"] == "403"
    assert "429 (Retry-After 60)" in seen["shop"]["rate_limit"]["came"]
    assert seen["shop"]["forged.X-Forwarded-For"]["verdict"] == "pass"


# What is changed, what undoes it, and what the run says.
GONE = (
    (
        f"sed -i 's/SecRuleEngine On/SecRuleEngine DetectionOnly/' {SHOP}",
        f"sed -i 's/SecRuleEngine DetectionOnly/SecRuleEngine On/' {SHOP}",
        "shop on edge1: GET /?slipway=1' OR '1'='1 was answered 200 by the service, and the inventory has waf mode",
    ),
    (
        f"sed -i 's/^ *limit_req /#&/' {SITE}",
        f"sed -i 's/^#\\( *limit_req \\)/\\1/' {SITE}",
        "shop on edge1: 8 x GET /signin, and none of them was answered 429 (8 x 200).",
    ),
    (
        f"sed -i '/geo .realip_remote_addr/i set_real_ip_from 0.0.0.0/0;' {WHO}",
        f"sed -i '/^set_real_ip_from 0.0.0.0/d' {WHO}",
        "shop on edge1: X-Real-IP of a client is believed: the log has 198.51.100.7.",
    ),
)


def test_protections_that_are_gone_behind_the_inventorys_back_are_told(host, attack):
    try:
        for change, _, _ in GONE:
            host.check_output(change)
        reload(host)
        ran = attack(site="shop")
        assert ran.code != 0
        assert [said for _, _, said in GONE if said not in ran.said] == []
    finally:
        for _, back, _ in GONE:
            host.check_output(back)
        reload(host)


def reload(host):
    """Ends when only workers of the new configuration take connections."""
    former = set(serving(host))
    host.check_output("nginx -t && systemctl reload nginx")
    assert until(lambda: (now := set(serving(host))) and not now & former, 30 * crowding())


def serving(host):
    """Workers that take new connections."""
    return host.check_output("pgrep -f 'nginx: worker process$' | sort").split()


def test_check_mode_says_what_it_would_send_and_sends_nothing(host, attack, tmp_path):
    before = requests_of_attacks(host)
    ran = attack("--check")
    assert ran.code == 0, ran.output
    assert "shop on edge1: " in ran.output and "Check mode sends nothing." in ran.output
    assert requests_of_attacks(host) == before
    assert not list(tmp_path.iterdir())


def test_only_the_inventorys_own_is_attacked(host):
    before = requests_of_attacks(host)
    ran = play("attack", INVENTORY, site="else", attack_host="nobody", attack_address="203.0.113.9")
    assert ran.code != 0
    for said in (
        "else is no site of this inventory, which has shop, new, plain.",
        "nobody (attack_host) is no host of this inventory.",
        "203.0.113.9 (attack_address) is none of the addresses of edge1",
        "Nothing was sent.",
    ):
        assert said in ran.said
    assert requests_of_attacks(host) == before
