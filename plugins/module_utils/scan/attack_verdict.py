# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Holds what came back of attacks against what the inventory promises for the site."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict
from ansible_collections.slipway.ops.plugins.module_utils.scan.attack import (
    FORGED_ADDRESS,
    FORGED_ID,
    GUARDED,
    MOST,
    NOBODY,
    Attempt,
    Site,
    plan,
    refusing,
    requests,
    within,
)

SOURCE = "attack 0.1.0"
PREFIX = "security.attack"
PICTURE = "attack"  # what the report draws of the artifact
GRAVE: tuple[Verdict, ...] = ("fail", "unknown", "warn", "pass", "skip")
CLAIMS = {
    "payloads": "{subject} refuses injections of textbooks",
    "scanners": "{subject} refuses scanners that say who they are",
    "hidden": "{subject} shows nobody a hidden file",
    "forged": "{subject} believes no client who says to be another",
    "requests": "{subject} refuses what is no request for it",
    "transport": "{subject} is served over TLS 1.2 and 1.3 only",
    "rate": "{subject} refuses who asks too often, whoever he says to be",
    "ordinary": "{subject} answers ordinary requests while it is attacked",
}


@dataclass(frozen=True)
class Outcome:
    """``why`` is the word for what the inventory promises, ``expected`` what that makes of the request."""

    id: str
    group: str
    sent: str
    came: str
    expected: str
    why: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class Seen:
    """What the edge's own log says of one request; nothing where it has no line."""

    client: str = ""
    upstream: str = ""


class Judge:
    """Of the attempts on one site: ``sent`` is what ``send`` returned, ``log`` lines of nginx' access log."""

    def __init__(self, site: Site, sent: Mapping[str, Any], log: Iterable[str]) -> None:
        self.site, self.sent = site, sent
        self.answers: Mapping[str, Sequence[Mapping[str, Any]]] = sent["answers"]
        self.log = dict(_lines(log))

    def outcomes(self) -> list[Outcome]:
        found = [self._outcome(attempt) for attempt in plan(self.site)]
        ordinary = [one for one in found if one.group == "ordinary"]
        if ordinary and all(one.verdict != "pass" for one in ordinary):
            why = "no ordinary request is answered either, so a refusal proves nothing"
            found = [replace(one, verdict="unknown", reason=why) if _proves(one) else one for one in found]
        if self.site.limit and self.site.limit.count > MOST:
            found.append(_untried_limit(self.site.limit.path, self.site.limit.count))
        if not (self.site.serves or self.site.guarded):
            why = "no path of the site is open to everybody and served by a pool or of files"
            found.append(Outcome("payloads", "payloads", "—", "—", "", f"waf_{self.site.mode}", "skip", why))
        return found

    def _outcome(self, attempt: Attempt) -> Outcome:
        answers = self.answers.get(attempt.id, [])
        expected, why = self._promise(attempt)
        outcome = Outcome(attempt.id, attempt.group, attempt.sent, _came(answers), expected, why, "pass")
        error = self.sent["error"] or next((answer["error"] for answer in answers if answer["error"]), "")
        if error or not answers:
            return replace(outcome, verdict="unknown", reason=error or "it was not sent")
        verdict, reason = getattr(self, f"_{attempt.group}")(attempt, answers, outcome)
        return replace(outcome, verdict=verdict, reason=reason)

    def _promise(self, attempt: Attempt) -> tuple[str, str]:
        """What comes back where the inventory is kept to, and which of its words says so; empty where it has none."""
        site = self.site
        if attempt.group in GUARDED:
            agent = attempt.headers.get("User-Agent", "")
            if attempt.group == "scanners" and any(refusing(pattern, agent) for pattern in site.agents):
                return "403", "agents"
            if site.mode == "block":
                excluded = site.excludes(attempt.family)
                return ("", "excluded") if excluded else ("403", "waf_block")
            if attempt.group == "hidden" and site.hides:
                return "404", "hides"
            return "", f"waf_{site.mode}"
        return {
            "past_proxy": ("308" if site.guarded == "behind_tls" else "403", "guarded"),
            "unknown_host": ("", "nobody"),
            "unknown_name": ("", "nobody"),
            "large_body": ("413", "body"),
            "trace": ("", "trace"),
            "plain_http": ("308", "redirect"),
            "old_tls": ("", "tls"),
            "rate_limit": ("429", "rate"),
        }.get(attempt.family, ("", attempt.group))

    def _guarded(self, attempt: Attempt, answers: Sequence[Any], outcome: Outcome) -> tuple[Verdict, str]:
        status, reached = answers[0]["status"], self._seen(answers[0]).upstream
        refused = status in (403, 404) if outcome.why == "hides" else status == 403
        if outcome.expected:
            if refused and not reached:
                return "pass", ""
            return "fail", f"{attempt.sent} was answered {outcome.came}{self._by(reached)}, and {self._word()}"
        if status >= 400 and not reached:
            return "pass", ""
        family = f"{attempt.family.replace('_', ' ')} ({attempt.id.partition('.')[2]})"
        if outcome.why == "excluded":
            return "warn", f"{family} is not looked at: {self.site.excludes(attempt.family)}"
        return "warn", f"{family} reached the service: {outcome.came}"

    _payloads = _scanners = _hidden = _guarded

    def _word(self) -> str:
        mode = self.site.mode
        return "the inventory has waf mode block" if mode == "block" else "the inventory has it refused"

    def _by(self, reached: str) -> str:
        return " by the service" if reached else ""

    def _forged(self, attempt: Attempt, answers: Sequence[Any], outcome: Outcome) -> tuple[Verdict, str]:
        answer, name = answers[0], attempt.id.partition(".")[2]
        if within(self._client(), self.site.trusted):
            return "skip", f"{self._client()} is in nginx_trusted_proxies, whom nginx is meant to believe"
        if attempt.plain:
            location = answer["headers"].get("location", "")
            good = location.startswith("https://") and NOBODY not in location
            return _believed(not good, f"{name} of a client changes where plain HTTP leads: {outcome.came}")
        id = answer["headers"].get("x-request-id", "")
        if name == "X-Request-ID":
            if not id:
                return "unknown", "the answer has no X-Request-ID"
            return _believed(id == FORGED_ID, f"{name} of a client is taken over")
        client = self._seen(answer).client
        if not client:
            return "unknown", f"the access log of {self.site.edge} has no line of request {id or 'without a number'}"
        return _believed(client == FORGED_ADDRESS, f"{name} of a client is believed: the log has {client}")

    def _requests(self, attempt: Attempt, answers: Sequence[Any], outcome: Outcome) -> tuple[Verdict, str]:
        status = int(answers[0]["status"])
        good = {
            "past_proxy": status == int(outcome.expected or 0),
            "unknown_host": status in (0, 400, 421),
            "unknown_name": status in (0, 400, 421),
            "large_body": status == 413,
            "trace": status >= 400 and not self._seen(answers[0]).upstream,
        }[attempt.id]
        return _kept(good, f"{attempt.sent} came back as: {outcome.came}")

    def _transport(self, attempt: Attempt, answers: Sequence[Any], outcome: Outcome) -> tuple[Verdict, str]:
        answer = answers[0]
        if attempt.version:
            return _kept(not answer["status"], f"{attempt.sent} is spoken ({outcome.came})")
        location = answer["headers"].get("location", "")
        good = answer["status"] in (301, 308) and location.startswith("https://")
        return _kept(good, f"plain HTTP is answered {outcome.came} and not led to https://")

    def _rate(self, attempt: Attempt, answers: Sequence[Any], outcome: Outcome) -> tuple[Verdict, str]:
        if within(self._client(), self.site.unlimited):
            return "skip", f"{self._client()} is in nginx_unlimited_clients"
        late = [answer for answer in answers if answer["status"] == 429]
        if late and all(answer["headers"].get("retry-after") for answer in late):
            return "pass", ""
        if late:
            return "fail", f"{attempt.target} is answered 429 without Retry-After"
        return "fail", f"{attempt.sent}, and none of them was answered 429 ({outcome.came})"

    def _ordinary(self, attempt: Attempt, answers: Sequence[Any], outcome: Outcome) -> tuple[Verdict, str]:
        bad = [answer for answer in answers if not self._passed(attempt, answer)]
        return _kept(not bad, f"the ordinary {attempt.sent} was answered {outcome.came}")

    def _passed(self, attempt: Attempt, answer: Mapping[str, Any]) -> bool:
        """Whether the edge let it through. What the service says of it, short of an error, is the service's affair."""
        status = answer["status"]
        if not status or status >= 500:
            return False
        return bool(self._seen(answer).upstream) or status not in (400, 403, 413, 429)

    def _seen(self, answer: Mapping[str, Any]) -> Seen:
        return self.log.get(answer["headers"].get("x-request-id", ""), Seen())

    def _client(self) -> str:
        """Who this was for the edge: what its log says of an ordinary request, or the sender's own address."""
        answers = self.answers.get("ordinary.page") or []
        return next((seen for answer in answers if (seen := self._seen(answer).client)), self.sent["own"])


def _untried_limit(path: str, count: int) -> Outcome:
    why = f"{count} requests of {path} would be needed, and {MOST} are the most that are sent"
    return Outcome("rate_limit", "rate", f"{count} x GET {path}", "—", "429", "rate", "skip", why)


def _believed(believed: bool, reason: str) -> tuple[Verdict, str]:
    return ("fail", reason) if believed else ("pass", "")


def _kept(good: bool, reason: str) -> tuple[Verdict, str]:
    return ("pass", "") if good else ("fail", reason)


def _proves(one: Outcome) -> bool:
    return one.verdict == "pass" and one.group in (*GUARDED, "requests", "rate")


def _lines(log: Iterable[str]) -> Iterable[tuple[str, Seen]]:
    for line in log:
        try:
            told = json.loads(line)
            yield str(told["request_id"]), Seen(str(told["client"]), str(told.get("upstream") or "").strip("-"))
        except (ValueError, KeyError, TypeError):
            continue


def _came(answers: Iterable[Mapping[str, Any]]) -> str:
    """``5 x 404, 2 x 429``; one alone has where it leads."""
    told = [_one(answer) for answer in answers]
    counted = [(text, len(list(same))) for text, same in groupby(told)]
    return ", ".join(text if count == 1 else f"{count} x {text}" for text, count in counted) or "—"


def _one(answer: Mapping[str, Any]) -> str:
    if answer["error"]:
        return "—"
    where = answer["headers"].get("location", "")
    late = answer["headers"].get("retry-after", "") if answer["status"] == 429 else ""
    more = f" → {where}" if where else f" (Retry-After {late})" if late else ""
    return f"{answer['status'] or answer['told']}{more}"


def results(
    sites: Sequence[Mapping[str, Any]], sent: Sequence[Mapping[str, Any]], log: Sequence[str], sender: str
) -> dict[str, Any]:
    """``records`` and ``artifacts`` of the evidence, ``lines`` of the summary, and ``failures``, sentences."""
    records, artifacts, lines, failures = [], [], [], []
    by_name = {one["site"]: one for one in sent}
    for site in map(Site.read, sites):
        outcomes = Judge(site, by_name[site.name], log).outcomes()
        name = f"attack-{site.name}-on-{site.edge}.json"
        found = [_record(site, group, outcomes, by_name[site.name], name) for group in CLAIMS]
        known = [one for one in found if one]
        records += [one.as_dict() for one in known]
        picture = _picture(site, outcomes, sender)
        artifacts.append({"name": name, "content": json.dumps(picture, ensure_ascii=False, indent=1) + "\n"})
        lines += _told(site, outcomes, known)
        failures += [f"{one.subject}: {one.reason}." for one in known if one.verdict in ("fail", "unknown")]
    return {"records": records, "artifacts": artifacts, "lines": lines, "failures": failures}


def _picture(site: Site, outcomes: Sequence[Outcome], sender: str) -> dict[str, Any]:
    """What the report draws."""
    about = {"site": site.name, "edge": site.edge, "host": site.host, "from": sender, "mode": site.mode}
    attempts = [asdict(one) for one in outcomes]
    return {"picture": PICTURE, **about, "requests": requests(plan(site)), "attempts": attempts}


def _record(
    site: Site, group: str, outcomes: Sequence[Outcome], sent: Mapping[str, Any], artifact: str
) -> Result | None:
    """What the attempts of a group come to; None where there are none."""
    own = [one for one in outcomes if one.group == group]
    if not own:
        return None
    verdict = min((one.verdict for one in own), key=GRAVE.index)
    reasons = list(dict.fromkeys(one.reason for one in own if one.verdict == verdict and one.reason))
    more = [f"and {len(reasons) - 3} more"] if len(reasons) > 3 else []
    claim = CLAIMS[group].format(subject=site.subject)
    let = sum(one.verdict in ("fail", "warn") for one in own)
    found = Result(f"{PREFIX}.{group}", "security", site.subject, claim, verdict, let, limit="= 0", at=sent["at"])
    found.took, found.source, found.artifacts = sent["took"], SOURCE, [artifact]
    if verdict in ("unknown", "skip"):
        found.measured = None
    found.reason = None if verdict == "pass" else "; ".join([*reasons[:3], *more])
    if verdict == "warn":
        found.limit = None
        found.reason = f"not protected (waf mode {site.mode}): {found.reason}"
    return found


def _told(site: Site, outcomes: Sequence[Outcome], records: Sequence[Result]) -> list[str]:
    lines = [f"{site.subject} ({site.host}), WAF: {site.mode}"]
    for record in records:
        group = record.id.rpartition(".")[2]
        own = [one for one in outcomes if one.group == group]
        kept = sum(one.verdict == "pass" for one in own)
        word = "not protected" if record.verdict == "warn" else record.verdict
        reason = f"  {record.reason}" if record.verdict in ("fail", "unknown", "skip") else ""
        lines.append(f"  {word:<13} {group:<10} {kept} of {len(own)} as they should be{reason}")
    return lines
