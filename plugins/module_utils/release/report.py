# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run came to: a summary for the screen and the evidence of what it measured."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict
from ansible_collections.slipway.ops.plugins.module_utils.release.canary import step_in_words
from ansible_collections.slipway.ops.plugins.module_utils.traffic.report import LATE, lateness, proven_failures

SOURCE = "deploy 0.1.0"
SWITCH_LIMIT = 5  # seconds
LINE, INSTANCES = 160, 4  # characters of a log line, and how many instances' lines, that fit the screen


@dataclass
class Outcome:
    """The facts of a run. By host: ``switches`` as ``pool_switch`` returns them, ``traffic`` as ``traffic`` does,
    ``drains`` the sessions left, ``canaries`` the last step, ``last_words`` of failed instances. ``began`` and
    ``ended`` are Unix time.

    ``bakes`` is for how many seconds the hosts watch it by themselves. ``shared`` says that a canary or a rolling
    release got a share of the requests, ``serving`` which colour a host served with when a rolling one was last seen.
    ``failed`` is why the release was taken back, ``unrecorded`` why one that is live is not recorded everywhere.
    ``warmed`` are the hosts where the release that was warm is so again, ``replaced`` is whose lock was taken over.
    """

    request: Mapping[str, Any]
    plan: Mapping[str, Any]
    failed: str
    recorded: bool
    began: float
    ended: float
    rollback_limit: float
    outage_limit: float = 60
    switches: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    traffic: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    drains: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    canaries: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    shared: bool = False
    bakes: float = 0
    serving: dict[str, str] = field(default_factory=dict)
    unrecorded: str = ""
    warmed: list[str] = field(default_factory=list)
    replaced: Mapping[str, Any] | None = None
    last_words: dict[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    check: bool = False

    @property
    def version(self) -> str:
        """The version that the run was about."""
        return str(self.plan["target"]["version"])

    @property
    def requests(self) -> int:
        """Probing requests of all edges."""
        return sum(seen["total"]["requests"] for seen in self.traffic.values())

    @property
    def failed_requests(self) -> int:
        """Those that failed."""
        return sum(seen["total"]["failed"] for seen in self.traffic.values())

    @property
    def proven_failures(self) -> int:
        """Those that are the service's own, also where a prober was late."""
        return sum(proven_failures(seen) for seen in self.traffic.values())

    @property
    def late(self) -> float:
        """How far the prober that was the furthest behind its schedule was, in milliseconds."""
        return max((float(seen["total"]["prober_late"]) for seen in self.traffic.values()), default=0.0)

    def answers_of(self, version: str) -> list[Mapping[str, Any]]:
        """What the edges' probers saw of a version."""
        return [entry for seen in self.traffic.values() for entry in seen["versions"] if entry["version"] == version]

    def switch_seconds(self) -> float | None:
        """From the first edge's switch to the end of the last one's."""
        switches = [done for done in self.switches.values() if done.get("at")]
        if not switches:
            return None
        moments = [_unix(str(done["at"])) for done in switches]
        return round(max(moments) - min(moments) + max(float(done["switch_took"]) for done in switches), 3)

    def rollback_seconds(self) -> float | None:
        """From the start of ``ansible-playbook`` to the last answer of the version that was left."""
        previous = self.plan["previous"]
        lasts = [_unix(entry["last"]) for entry in self.answers_of(previous["version"])] if previous else []
        lasts = lasts or [_unix(str(done["at"])) for done in self.switches.values() if done.get("at")]
        return round(max(lasts) - self.began, 2) if lasts else None


def _unix(moment: str) -> float:
    return datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def records(outcome: Outcome) -> list[dict[str, Any]]:
    """The evidence, none when nothing was done."""
    if outcome.plan["nothing"] or outcome.check:
        return []
    kind = str(outcome.request["action"])
    found = [_result(outcome, kind), _duration(outcome, kind), *_guards(outcome), *_canary(outcome)]
    if outcome.traffic:
        found.append(_outage(outcome) if _recreated(outcome) else _failed_requests(outcome, kind))
    seconds = outcome.switch_seconds()
    if seconds is not None:
        found.append(_switch(outcome, seconds))
    elif outcome.failed and outcome.traffic and kind == "deploy" and not outcome.shared:
        found.append(_gate(outcome))
    return [result.as_dict() for result in found]


@dataclass(frozen=True)
class _Measure:
    name: str
    claim: str
    measured: float | str | None
    limit: str | None = None
    unit: str = "s"


def _record(outcome: Outcome, measure: _Measure) -> Result:
    at = datetime.datetime.fromtimestamp(outcome.began, datetime.timezone.utc)
    return Result(
        id=f"delivery.{measure.name}",
        area="delivery",
        subject=str(outcome.request["service"]),
        claim=measure.claim,
        verdict="pass",
        measured=measure.measured,
        unit=measure.unit,
        limit=measure.limit,
        at=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        took=round(outcome.ended - outcome.began, 3),
        source=SOURCE,
    )


def _fail(result: Result, reason: str, verdict: Verdict = "fail") -> Result:
    result.verdict, result.reason = verdict, reason
    return result


def _result(outcome: Outcome, kind: str) -> Result:
    claim = "The last release went live" if kind == "deploy" else "The last rollback went live"
    result = _record(outcome, _Measure(f"{kind}.result", claim, outcome.version, None, "1"))
    if outcome.failed:
        return _fail(result, f"{outcome.version}: {outcome.failed}")
    if outcome.recorded:
        return result
    why = f": {outcome.unrecorded}" if outcome.unrecorded else ""
    return _fail(result, f"{outcome.version} is live, but not every host recorded it{why}.")


def _guards(outcome: Outcome) -> list[Result]:
    guards = outcome.request.get("guards") or {}
    if not guards.get("guarded"):
        return []
    claim = "The release kept to windows, freezes, change number and approval"
    kept = "; ".join(guards["kept"]) or "nothing was in the way"
    result = _record(outcome, _Measure("deploy.guards", claim, kept, None, "1"))
    return [_fail(result, _overridden(guards), "warn") if guards["overridden"] else result]


def _canary(outcome: Outcome) -> list[Result]:
    """That it was no worse than the live release; why it was, the release's own result says."""
    if not outcome.canaries:
        return []
    claim = "The new release was no worse than the live one beside it, at its last share of the requests"
    measured = "; ".join(f"{edge}, {step_in_words(step)}" for edge, step in outcome.canaries.items())
    return [_record(outcome, _Measure("canary.judgement", claim, measured, None, "1"))]


def _overridden(guards: Mapping[str, Any]) -> str:
    return f"Overridden ({guards['said']['override']}): {' '.join(guards['overridden'])}"


def _duration(outcome: Outcome, kind: str) -> Result:
    if kind == "deploy":
        seconds = round(outcome.ended - outcome.began, 1)
        return _record(outcome, _Measure("deploy.duration", "Seconds that the release took", seconds, None))
    claim = "Seconds from the start of the rollback to the last answer of the version that it left"
    limit = f"<= {outcome.rollback_limit:g}"
    measured = outcome.rollback_seconds()
    if measured is None or outcome.failed:
        result = _record(outcome, _Measure("rollback.duration", claim, None, limit))
        return _fail(result, outcome.failed or "No edge had to switch, so nothing was measured.", "unknown")
    result = _record(outcome, _Measure("rollback.duration", claim, measured, limit))
    if measured <= outcome.rollback_limit:
        return result
    told = f"It took {measured:g} s and deploy_rollback_limit is {outcome.rollback_limit:g} s."
    if outcome.plan["start"]:
        return _fail(result, f"{told} The release was not warm and had to be started first.")
    return _fail(result, f"{lateness(outcome.late)}: {told}", "unknown") if outcome.late > LATE else _fail(result, told)


def _switch(outcome: Outcome, seconds: float) -> Result:
    claim = "Seconds until every edge sent requests to the new release"
    result = _record(outcome, _Measure("switch.duration", claim, seconds, f"< {SWITCH_LIMIT}"))
    return (
        result if seconds < SWITCH_LIMIT else _fail(result, f"It took {seconds:g} s and the limit is {SWITCH_LIMIT} s.")
    )


def _recreated(outcome: Outcome) -> bool:
    """Whether one release was stopped before the other was started, so that requests had to fail."""
    plan = outcome.plan
    return outcome.request.get("strategy") == "recreate" and bool(plan["start"] and plan["previous"])


def _compensated(outcome: Outcome) -> bool:
    """Whether a failed rolling release was taken back: a rollback never is, nor what had nothing before it."""
    return outcome.request["action"] == "deploy" and bool(outcome.plan["previous"])


def _outage(outcome: Outcome) -> Result:
    claim = "Seconds without an answer while one release was stopped and the other started"
    seconds = max(float(seen["total"]["longest_gap"]) for seen in outcome.traffic.values())
    result = _record(outcome, _Measure("recreate.outage", claim, seconds, f"<= {outcome.outage_limit:g}"))
    if seconds <= outcome.outage_limit:
        return result
    told = f"Nothing was answered for {seconds:g} s and deploy_recreate_limit is {outcome.outage_limit:g} s."
    return _fail(result, f"{lateness(outcome.late)}: {told}", "unknown") if outcome.late > LATE else _fail(result, told)


def _failed_requests(outcome: Outcome, kind: str) -> Result:
    claim = f"Requests that failed during the {'release' if kind == 'deploy' else 'rollback'}"
    failed, requests = outcome.failed_requests, outcome.requests
    result = _record(outcome, _Measure(f"{kind}.failed_requests", claim, failed, "= 0", "1"))
    if not requests:
        return _fail(result, "No probing request was sent.", "unknown")
    if not failed:
        return result
    reasons = {why: count for seen in outcome.traffic.values() for why, count in seen["reasons"].items()}
    told = ", ".join(f"{why} ({count})" for why, count in list(reasons.items())[:3])
    told = f"{failed} of {requests} probing requests failed: {told}."
    if outcome.late > LATE and not outcome.proven_failures:
        return _fail(result, f"{lateness(outcome.late)}: {told}", "unknown")
    return _fail(result, told)


def _gate(outcome: Outcome) -> Result:
    claim = "Requests that reached a release which failed before its switch"
    reached = sum(int(entry["responses"]) for entry in outcome.answers_of(outcome.version))
    result = _record(outcome, _Measure("gate.bad_release_requests", claim, reached, "= 0", "1"))
    if not any(seen["versions"] for seen in outcome.traffic.values()):
        return _fail(result, "The service's answers do not say which version gave them.", "unknown")
    return _fail(result, f"{reached} requests reached {outcome.version}.") if reached else result


def summary(outcome: Outcome) -> list[str]:
    """One screen at most."""
    service, plan = outcome.request["service"], outcome.plan
    lines = [_headline(outcome, str(service))]
    if outcome.failed:
        lines.append(_row("why", outcome.failed))
    lines += [_row("note", note) for note in plan["notes"]]
    if (guards := outcome.request.get("guards") or {}).get("overridden"):
        lines.append(_row("note", _overridden(guards)))
    if not (outcome.failed or outcome.recorded or outcome.check):
        lines.append(_row("note", "not every host could record it; the next run will"))
        lines += [_row("why", outcome.unrecorded)] if outcome.unrecorded else []
    if outcome.replaced:
        lines.append(_row("note", _took_over(outcome.replaced)))
    if not plan["nothing"]:
        lines.append(
            _row("hosts", f"{', '.join(outcome.request['apps'])} behind {', '.join(outcome.request['edges'])}")
        )
        lines += _measured(outcome)
    lines += _last_words(outcome)
    lines.append(_row("run", f"{outcome.request['run']}, {outcome.ended - outcome.began:.1f} s"))
    back = _way_back(outcome)
    return [*lines, _row("back", back)] if back else lines


def _way_back(outcome: Outcome) -> str:
    """How to go back, or after a failure whether a rollback would still be a switch."""
    plan, command = outcome.plan, f"ansible-playbook playbooks/rollback.yml -e service={outcome.request['service']}"
    if not outcome.failed:
        return command if plan["previous"] and outcome.request["action"] == "deploy" else ""
    if not plan["start"] or not plan["live"] or plan.get("batches"):
        return ""  # nothing was pushed out, or there is nothing to go back from
    if not plan["warm"]:
        return "no earlier release is warm; a rollback has to start one"
    warm = f"{plan['warm']['version']} ({plan['warm']['colour']})"
    cold = [host for host in plan["start"] if host not in outcome.warmed]
    if cold:
        return f"{warm} is not warm any more on {', '.join(cold)}; a rollback has to start it"
    return f"{warm} is warm again; a rollback is a switch: {command}"


def _took_over(holder: Mapping[str, Any]) -> str:
    return (
        f"took over the lock of {holder['owner']} ({holder['purpose']}, run {holder['run']}, since {holder['since']})"
    )


def _headline(outcome: Outcome, service: str) -> str:
    plan = outcome.plan
    target, live, previous = plan["target"], plan["live"], plan["previous"]
    if plan["nothing"]:
        return f"{service} {target['version']} is live already ({target['colour']}): nothing was changed."
    if outcome.check:
        return f"{service} {target['version']} could be released ({target['colour']}); check mode ends here."
    if outcome.failed and plan.get("batches") and not _compensated(outcome):
        done = [host for host, colour in outcome.serving.items() if colour == target["colour"]]
        told = f"{', '.join(done) or 'no host'} of {', '.join(outcome.request['apps'])}"
        return f"{service} {target['version']} is live on {told} only, and stays there: run it again."
    if outcome.failed:
        kept = f"{live['version']} ({live['colour']}) is live" if live else "nothing was live before"
        if previous and previous != live:
            kept = f"{previous['version']} ({previous['colour']}) is live again"
        return f"{service} {target['version']} was NOT released: {kept}."
    stays = previous and not (_recreated(outcome) or plan.get("batches"))
    warm = f"; {previous['version']} ({previous['colour']}) stays warm" if stays else ""
    return f"{service} {target['version']} is live ({target['colour']}){warm}."


def _measured(outcome: Outcome) -> list[str]:
    lines = []
    if outcome.traffic:
        worst = max((seen["total"]["latency"]["p95"] or 0.0) for seen in outcome.traffic.values())
        told = f"{outcome.failed_requests} of {outcome.requests} failed, 95 % within {worst:.0f} ms"
        reached = sum(int(entry["responses"]) for entry in outcome.answers_of(outcome.version))
        lines.append(_row("requests", f"{told}, {reached} answered by {outcome.version}"))
        if outcome.late > LATE:
            lines.append(
                _row(
                    "note", f"the prober was up to {outcome.late / 1000:.3g} s late: what it missed counts for nothing"
                )
            )
    seconds = outcome.switch_seconds()
    if seconds is not None:
        lines.append(_row("switch", f"{seconds:g} s"))
    if outcome.request["action"] == "rollback" and not outcome.failed and outcome.rollback_seconds() is not None:
        lines.append(
            _row("rollback", f"{outcome.rollback_seconds():g} s from the start to the last answer of the other")
        )
    lines += [_row("canary", f"{edge}, {step_in_words(step)}") for edge, step in outcome.canaries.items()]
    if outcome.bakes and not outcome.failed:
        kept = f"{outcome.plan['previous']['version']} is kept warm, and they go back to it by themselves"
        lines.append(_row("bake", f"the hosts watch it for {outcome.bakes:g} s from its switch on; {kept}"))
    for edge, drained in outcome.drains.items():
        requests, tunnels = drained["left"] - drained.get("tunnels", 0), drained.get("tunnels", 0)
        left = f"{requests} connections still open after" if requests else "nothing left after"
        stay = (
            f"; {tunnels} WebSocket{'s' if tunnels > 1 else ''} drain{'' if tunnels > 1 else 's'} on" if tunnels else ""
        )
        lines.append(_row("drain", f"{edge}: {left} {drained['took']:g} s{stay}"))
    return lines


def _last_words(outcome: Outcome) -> list[str]:
    """Each failed instance's status and last line; the evidence keeps the rest."""
    rows = [
        _row(host, f"{name}, {said['status']}: {(said['lines'] or ['it said nothing'])[-1][:LINE]}")
        for host, instances in outcome.last_words.items()
        for name, said in sorted(instances.items())
    ]
    return rows[:INSTANCES]


def artifacts(outcome: Outcome) -> list[dict[str, Any]]:
    """What is kept beside the evidence: what failed instances logged last, and what the probers saw."""
    words = [
        f"== {host} {name}, {said['status']}\n" + "\n".join(said["lines"])
        for host, instances in outcome.last_words.items()
        for name, said in sorted(instances.items())
    ]
    kept: list[dict[str, Any]] = [{"name": "instances.log", "content": "\n".join(words) + "\n"}] if words else []
    return kept + ([{"name": "traffic.json", "content": dict(outcome.traffic)}] if outcome.traffic else [])


_MUTE = ("Unknown error.", "One or more items failed", "Action failed.", "MODULE FAILURE")


def _said(result: Mapping[str, Any]) -> str:
    """What a failed task said, on one line. Of many measurements or items the first bad one speaks."""
    items = [one for one in result.get("results") or [] if isinstance(one, Mapping)]
    for one in items:
        if one.get("verdict") in ("fail", "unknown"):
            return f'"{one["claim"]}" is not so: {one["reason"]}'
    for one in items:
        if one.get("failed") or one.get("unreachable"):
            return _said(one)
    if str(result.get("msg")).startswith("Module result deserialization failed"):  # the connection ran nothing
        words = str(result.get("module_stderr") or result.get("module_stdout") or "").split()
        return " ".join(["the host could not run it:", *(words or ["it said nothing"])])
    for name in ("msg", "stderr", "module_stderr", "exception", "stdout", "module_stdout"):
        text = str(result.get(name) or "").strip()
        if text and not text.startswith(_MUTE):
            return " ".join(text.split() if name == "msg" else text.splitlines()[-1].split())
    return "it did not succeed and gave no reason"


def _row(name: str, text: str) -> str:
    return f"  {name:<9} {text}"


def why(failures: Mapping[str, Mapping[str, Any]], unreachable: list[str]) -> str:
    """One sentence: which step failed on which hosts, and why on the first of them."""
    by_step: dict[str, list[str]] = {}
    for host, failure in failures.items():
        by_step.setdefault(str(failure["step"]).partition(":")[0], []).append(host)
    parts = [
        f"{step} failed on {', '.join(hosts)}: {_said(failures[hosts[0]]['result'])}" for step, hosts in by_step.items()
    ]
    if unreachable:
        parts.append(f"{', '.join(unreachable)} could not be reached")
    return "; ".join(parts) or "a host failed without a word"
