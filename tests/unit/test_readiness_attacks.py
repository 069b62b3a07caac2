"""The report's table of attacks: every attempt once, in both languages, and nothing of what was sent is markup."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import readiness_sample as sample
from ansible_collections.slipway.ops.plugins.filter.attack import attack_results, attack_sites
from ansible_collections.slipway.ops.plugins.filter.readiness import FilterModule
from ansible_collections.slipway.ops.plugins.module_utils.scan.attack import Site, plan
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.attacks import attacks, records
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import Words
from attack_sample import EDGE, SHOP
from pages import Reader

FILTERS = FilterModule().filters()
ABOUT = {"system": "demo", "command": "ansible-playbook slipway.ops.readiness", "data_file": "readiness.json"}


def evidence() -> dict[str, Any]:
    """What the store says after an attack on an edge that answers everything with 200."""
    sites = attack_sites([SHOP], EDGE)
    ok = {"status": 200, "headers": {}, "told": "", "error": ""}
    answers = {one.id: [ok] for one in plan(Site.read(sites[0]))}
    sent = {
        "site": "shop",
        "at": "2026-11-21T11:00:00Z",
        "took": 4.0,
        "own": "192.0.2.9",
        "error": "",
        "answers": answers,
    }
    found = attack_results([sent], sites, [], "monitor1")
    whole = sample.evidence()
    content = found["artifacts"][0]["content"]
    path = f"artifacts/run/{found['artifacts'][0]['name']}"
    digest = hashlib.sha256(content.encode()).hexdigest()
    for record in found["records"]:
        whole["records"].append({**record, "run": "run", "artifacts": [path], "sha256": {path: digest}})
    whole["artifacts"][path] = {"bytes": len(content), "intact": True, "content": content}
    return whole


def page(language: str) -> str:
    seen = evidence()
    verdict = FILTERS["readiness"](sample.policy(), seen["records"], [], language, "2026-11-21T12:00:00Z")
    return str(FILTERS["readiness_report"](verdict, seen, ABOUT, language))


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_attempt_is_a_line_and_no_text_of_it_is_markup(language: str) -> None:
    text = page(language)
    read = Reader(text)
    assert read.open == [] and "script" not in read.tags
    assert all(link[1:] in read.ids for link in read.links)
    section = text[text.index('id="attacks"') : text.index("</section>", text.index('id="attacks"'))]
    attempts = plan(Site.read(attack_sites([SHOP], EDGE)[0]))
    assert section.count('<th scope="row">') == len(attempts)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in section
    texts = Words(language)["attack"]
    for one in attempts:
        assert texts["families"][one.family] in section and texts["groups"][one.group] in section
    assert texts["verdicts"]["fail"] in section and texts["why"]["waf_block"] in section


def test_there_is_a_word_for_every_promise() -> None:
    why = Words("en")["attack"]["why"]
    for site in (SHOP, SHOP | {"waf": {"mode": "detect"}}, SHOP | {"only_proxies": True}):
        sites = attack_sites([site], EDGE)
        sent = {"site": "shop", "at": "2026-11-21T11:00:00Z", "took": 4.0, "own": "", "error": "away", "answers": {}}
        told = json.loads(attack_results([sent], sites, [], "m")["artifacts"][0]["content"])
        assert {one["why"] for one in told["attempts"]} <= set(why)


def test_other_artifacts_and_sites_that_are_gone_are_no_attack() -> None:
    seen = evidence()
    own = records(seen["records"])
    assert len(attacks(own, seen["artifacts"], Words("en"))) == 1
    assert attacks(own, {path: {"content": "[1]"} for path in seen["artifacts"]}, Words("en")) == []
    assert records([{**record, "verdict": "skip"} for record in own]) == []
    assert '<section class="attacks"' not in str(
        FILTERS["readiness_report"](
            FILTERS["readiness"](sample.policy(), [], [], "en", "2026-11-21T12:00:00Z"),
            {**sample.evidence(), "records": []},
            ABOUT,
            "en",
        )
    )
