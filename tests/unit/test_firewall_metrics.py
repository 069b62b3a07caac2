"""The firewall's counters, as nft tells them and as Prometheus reads them."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.monitoring.firewall import counts, exposition


def rule(comment: str | None, packets: int) -> dict[str, object]:
    told = {"comment": comment} if comment else {}
    return {"rule": {**told, "expr": [{"counter": {"packets": packets, "bytes": packets * 60}}, {"accept": None}]}}


LISTED = {
    "nftables": [{"metainfo": {}}, {"chain": {}}, rule("ssh", 2), rule("ssh", 3), rule("input", 9), rule(None, 7)]
}


def test_two_families_of_one_rule_are_one() -> None:
    assert counts(LISTED) == {"ssh": (5, 300), "input": (9, 540)}


def test_a_table_without_rules_is_loaded_and_one_that_is_not_there_is_not() -> None:
    assert "slipway_firewall_loaded 1\n" in exposition({}, taken_back=False)
    assert "slipway_firewall_loaded 0\n" in exposition(None, taken_back=False)


def test_what_prometheus_reads() -> None:
    text = exposition(counts(LISTED), taken_back=True)
    assert "slipway_firewall_taken_back 1\n" in text
    assert '# TYPE slipway_firewall_packets_total counter\nslipway_firewall_packets_total{rule="ssh"} 5\n' in text
    assert 'slipway_firewall_bytes_total{rule="input"} 540\n' in text
    assert text.endswith("\n")
