from __future__ import annotations

import json
import re
import string

import pytest
import readiness_sample as sample
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.filter.readiness import FilterModule
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness import pictures
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.timelines import timelines
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import (
    Words,
    bound,
    columns,
    quantity,
    strings,
)
from pages import Reader

FILTERS = FilterModule().filters()
ABOUT = {"system": "demo", "command": "ansible-playbook slipway.ops.readiness", "data_file": "readiness.json"}
LANGUAGES = ("en", "ko")
READINESS = sample.ROOT / "plugins/plugin_utils/readiness"
# HTML elements that have no end tag.


def verdict(language="en", evidence=None, policy=None, waivers=None):
    evidence = evidence or sample.evidence()
    policy = policy or sample.policy()
    waivers = sample.waivers() if waivers is None else waivers
    return FILTERS["readiness"](policy, evidence["records"], waivers, language, "2026-11-21T12:00:00Z")


def page(language="en", evidence=None, **more):
    evidence = evidence or sample.evidence()
    return FILTERS["readiness_report"](verdict(language, evidence, **more), evidence, ABOUT, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_whole_and_needs_nothing_else(language):
    text = page(language)
    read = Reader(text)
    assert read.open == []
    assert len(read.ids) == len(set(read.ids))
    assert not {"script", "link", "img", "iframe", "object"} & set(read.tags)
    assert not re.search(r"url\(|@import|https?://", text)
    assert all(link.startswith("#") and link[1:] in read.ids for link in read.links)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_links_to_its_evidence_and_every_record_is_there(language):
    read = Reader(page(language))
    measured = {(one["id"], one["subject"]) for one in sample.evidence()["records"]}
    anchors = [anchor for anchor in read.ids if anchor.startswith("e-")]
    assert len(anchors) == len(measured)
    assert {f"#{anchor}" for anchor in anchors} <= set(read.links)


def test_the_verdict_and_what_stands_in_the_way_come_first():
    text = "".join(Reader(page()).text)
    assert text.index("NO-GO") < text.index("What stands in the way") < text.index("Proven by area")
    assert "2 of 18 must-have requirements are not proven." in text
    assert "uploads: the waiver by Lee Junho expired on 2026-11-15; measured 12 days ago" in text


def test_korean_is_korean():
    text = "".join(Reader(page("ko")).text)
    assert "필수 요건 18건 중 2건이 입증되지 않았습니다." in text
    assert "What stands" not in text
    assert not set(strings()["en"]["states"].values()) & {line.strip() for line in text.splitlines()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_evidence_says_stays_text(language):
    attack = "</pre></details><script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg onload=x>{{ 7*7 }}"
    evidence = sample.evidence()
    hostile = sample.record("application.sample.health", attack, attack, attack, attack, verdict="fail", reason=attack)
    hostile.update(source=attack, run=attack, limit=attack, artifacts=["artifacts/x"], sha256={attack: attack})
    evidence["records"].append(hostile)
    evidence["artifacts"][attack] = {"bytes": 1, "intact": False, "content": attack}
    evidence["history"] += [hostile, hostile]
    waivers = [{"id": "application.*", "owner": attack, "reason": attack, "expires": "2027-01-01"}]
    policy = [*sample.policy(), {"id": "operations.x.y", "max_age": "1d", "title": attack}]
    text = page(language, evidence, policy=policy, waivers=waivers)
    read = Reader(text)
    assert read.open == []
    assert not {"script", "img"} & set(read.tags)
    assert not {"onerror", "onload"} & set(read.attributes)
    assert "".join(read.text).count("<script>alert(1)</script>") >= 9
    assert "{{ 7*7 }}" in text
    assert "49" not in re.findall(r">\s*(\d+)\s*<", text)


def test_a_hostile_timeline_stays_text():
    attack = "<script>x</script>"
    picture: dict = {"lanes": [{"name": attack, "kind": attack, "spans": [{"from": 0, "to": 1, "label": attack}]}]}
    picture["marks"] = [{"at": 0.5, "label": attack}]
    assert "<script" not in pictures.timeline(picture, attack)
    assert "<script" not in pictures.latency({attack: {"p50": 1, "p95": 2, "p99": 3, "max": 4}}, attack)


def drawn(content):
    return [one["picture"] for one in timelines([{"artifacts": ["a"]}], {"a": {"content": content}}, Words("en"))]


@pytest.mark.parametrize(
    "content",
    ["", "no JSON", "[]", "{}", '{"picture": "timeline"}', '{"picture": "timeline", "lanes": [{"name": 1}]}', None],
)
def test_an_artifact_that_is_no_picture_is_not_drawn(content):
    assert drawn(content) == []


def test_what_traffic_saw_is_drawn():
    text = page()
    assert text.count('class="timeline"') == 4, "a wide and a narrow one of each"
    assert "v1: 1420 answers" in text
    assert "v1 drained" in text
    (picture,) = drawn(json.dumps(sample.SWITCH["traffic"]))
    assert [(lane["name"], lane["spans"][0]["to"]) for lane in picture["lanes"]] == [("v1", 14.2), ("v2", 30.9)]
    assert picture["facts"]["Failed"] == "0"


def test_traffic_by_host_makes_a_picture_each():
    seen = sample.SWITCH["traffic"]
    found = drawn(json.dumps({"edge1": seen, "edge2": {**seen, "versions": []}, "edge3": seen, "note": "x"}))
    assert [picture["where"] for picture in found] == ["edge1", "edge3"]


def test_failures_of_traffic_are_a_lane_of_their_own():
    failure = {"at": "2026-11-20T09:15:14.2Z", "client": "post", "reason": "status 502"}
    (picture,) = drawn(json.dumps({**sample.SWITCH["traffic"], "failures": [failure]}))
    assert picture["lanes"][-1] == {
        "name": "Failed",
        "kind": "fail",
        "spans": [{"from": 14.2, "to": 14.2, "label": "status 502"}],
    }


def test_a_timeline_of_ones_own_is_drawn():
    lanes = [{"name": "primary", "spans": [{"from": 0, "to": 3.5}]}]
    (picture,) = drawn(json.dumps({"picture": "timeline", "lanes": lanes, "marks": [{"at": 1, "label": "killed"}]}))
    assert picture["lanes"][0]["spans"] == [{"from": 0.0, "to": 3.5, "label": ""}]


def test_artifacts_that_do_not_match_their_hash_are_shown():
    evidence = sample.evidence()
    for artifact in evidence["artifacts"].values():
        artifact["intact"] = False
    assert "does not match the recorded hash" in page(evidence=evidence)


def test_damaged_lines_are_shown():
    evidence = {**sample.evidence(), "damaged": [{"file": "x", "offset": 0, "bytes": 1}]}
    assert "1 damaged line in the store was left out" in page(evidence=evidence)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_empty_store_makes_a_report_too(language):
    nothing = {"store": "/x", "records": [], "history": [], "artifacts": {}, "damaged": []}
    text = page(language, nothing, waivers=[])
    assert Reader(text).open == []
    assert Words(language)["states"]["missing"] in text


def test_records_of_other_makers_make_a_report_too():
    bare = {"id": "application.x.y", "subject": "s", "at": "2026-11-21T11:00:00Z", "verdict": "pass"}
    assert "application.x.y" in page(evidence={"records": [bare]}, waivers=[])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_summary_fits_a_job_log(language):
    evidence = sample.evidence()
    evidence["records"].append(
        sample.record("security.x.y", "s", "c", verdict="fail", reason="아주 긴 사유 " * 40 + "\x1b[31m\nred")
    )
    lines = FILTERS["readiness_summary"](verdict(language, evidence), language)
    assert max(columns(line) for line in lines) <= 80
    assert not any("\x1b" in line or "\n" in line for line in lines)
    assert lines[0].startswith("NO-GO: ")
    assert any("data.restore.duration" in line for line in lines)
    assert "records/2026-11.jsonl" not in "".join(lines)
    damaged = [{"file": "records/2026-11.jsonl", "offset": 120, "bytes": 9}]
    last = FILTERS["readiness_summary"](verdict(language, evidence), language, damaged)[len(lines) :]
    assert "records/2026-11.jsonl:120" in "".join(last) and max(columns(line) for line in last) <= 80


def test_the_verdict_carries_sentences():
    (reason,) = next(one for one in verdict()["requirements"] if one["id"] == "application.load.p95")["reasons"]
    assert reason["text"] == "sample: measured 612 ms, the policy's limit is < 500 ms"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FILTERS["readiness"]([], []), "no requirement has tier 1"),
        (lambda: verdict("de"), "no language 'de'; it has en, ko"),
        (lambda: FILTERS["readiness"](sample.policy(), ["x"]), "record 1 is no evidence"),
        (lambda: FILTERS["readiness_summary"]({}), "is the input a policy with records"),
        (lambda: FILTERS["readiness"](sample.policy(), [], now="noon"), "'noon' is no RFC 3339 time"),
    ],
)
def test_wrong_input_is_an_error_that_says_so(call, message):
    with pytest.raises(AnsibleFilterError) as caught:
        call()
    assert message in str(caught.value)


def leaves(value, path=""):
    if isinstance(value, dict):
        return {leaf: text for key, item in value.items() for leaf, text in leaves(item, f"{path}.{key}").items()}
    return {path: value}


def placeholders(text):
    texts = text if isinstance(text, list) else [text]
    return [sorted({name for _, name, _, _ in string.Formatter().parse(one) if name}) for one in texts]


def test_languages_have_the_same_texts_with_the_same_placeholders():
    english, korean = leaves(strings()["en"]), leaves(strings()["ko"])
    assert english.keys() == korean.keys()
    for key, text in english.items():
        assert placeholders(text)[-1] == placeholders(korean[key])[0], key


def test_every_text_is_used():
    here = "".join(
        path.read_text()
        for path in sorted([*READINESS.glob("*"), *(READINESS.parent / "status").glob("*")])
        if path.suffix in (".py", ".j2")
    )
    unused = [
        key for key in strings()["en"] if not {f'"{key}"', f"'{key}'"} & set(re.findall(r"[\"'][a-z_]+[\"']", here))
    ]
    assert unused == []


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1.84, "s", "1.84 s"),
        (0, "1", "0"),
        (3100, "1", "3,100"),
        (1234.5, "ms", "1,234.5 ms"),
        (268435456, "By", "256MiB"),
        ("v2", "1", "v2"),
        (None, "s", "—"),
    ],
)
def test_quantities_read_as_people_write_them(value, unit, shown):
    assert quantity(value, unit) == shown


@pytest.mark.parametrize(("end", "step"), [(31, 10), (6, 1), (0.001, 0.0002), (100, 20), (7200, 2000)])
def test_ticks_are_round(end, step):
    assert pictures.nice_step(end) == pytest.approx(step)


def refused(language):
    """The page of a system whose last release was refused; its record claims what it wanted to show."""
    evidence = sample.evidence()
    switched = next(one for one in evidence["records"] if one["artifacts"] and one["id"].startswith("delivery."))
    switched |= {
        "claim": "Release 2 went live",
        "verdict": "fail",
        "reason": "5.3 % of 1,420 requests failed",
        "measured": 7,
        "unit": "s",
        "limit": "<= 5",
    }
    return page(language, evidence), switched


def headings(text):
    return re.findall(r"<strong>([^<]*)</strong>|<h3>.*?</svg>([^<]*)</h3>", text)


def test_no_heading_claims_what_did_not_hold():
    text, record = refused("en")
    told = [one or other for one, other in headings(text)]
    assert f"Failed: {record['claim']}" in told
    assert record["claim"] not in told


def test_headings_of_a_korean_page_are_korean():
    text, record = refused("ko")
    assert record["claim"] not in [one or other for one, other in headings(text)]
    assert any((one or other).startswith("실패: ") for one, other in headings(text))


def test_a_limit_has_the_unit_of_what_was_measured():
    text, _record = refused("en")
    assert "limit &lt;= 5 s" in text
    assert bound("<= 5", "s") == "<= 5 s"
    assert bound("<= 5 min", "s") == "<= 5 min"
    assert bound("= 0", "1") == "= 0"
    assert bound("= ready", "s") == "= ready"


def test_names_and_marks_of_a_narrow_picture_fit():
    picture = {
        "lanes": [{"name": "a-service-with-a-long-name", "kind": "", "spans": [{"from": 0, "to": 30, "label": ""}]}],
        "marks": [{"at": 20, "label": "드레인이 끝났습니다"}],
        "facts": {},
    }
    wide, narrow = pictures.timeline(picture, "label").split('<div class="narrow">')
    assert "a-service-with-a-l…" in wide or "a-service-with-a-long-name" in wide
    assert "…" in narrow and 'text-anchor="end"' in narrow
