# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is true on all hosts together, and what a deploy or a rollback has to do about it. Touches no host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.release import history
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError
from ansible_collections.slipway.ops.plugins.module_utils.service.model import COLOURS, MIXED

Surveys = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Running:
    """A version in a colour."""

    colour: str
    version: str


@dataclass
class Truth:
    """What the hosts say.

    ``pointed`` is the colour that the edges send requests to, ``live`` what runs there, ``idle`` what runs in the other
    colour on every host (a release that is warm), ``split`` the edges' colours when they disagree.
    """

    pointed: str
    live: Running | None
    idle: Running | None
    incomplete: list[str]
    split: dict[str, str]
    events: list[history.Event]
    notes: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """What a run does.

    ``start`` are the hosts on which the target must be started, ``previous`` is what a failure restores, ``warm`` the
    release that starting the target pushes out, ``found`` a live release that the history does not know yet.
    """

    target: Running
    previous: Running | None
    start: list[str]
    switch: bool
    nothing: bool
    action: str
    pointed: str
    live: Running | None = None
    split: dict[str, str] = field(default_factory=dict)
    warm: Running | None = None
    found: dict[str, str] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def takes_back(self) -> bool:
        """Whether a failure has something to take back: requests that went to the target, or were to go there."""
        return self.switch or self.previous is not None

    @property
    def removes(self) -> bool:
        """Whether a failure removes what runs in the target's colour: not a warm release that was only switched to."""
        return self.takes_back and (bool(self.start) or not self.switch)

    @property
    def restore_to(self) -> str:
        """The colour that requests go to after a failure."""
        return self.previous.colour if self.previous else self.pointed

    @property
    def warms(self) -> list[str]:
        """The hosts on which a failure starts the release again that the target pushed out."""
        return self.start if self.warm else []

    def events(self, origin: history.Event, event: str, reason: str = "") -> list[dict[str, Any]]:
        """What the history gets when the run has ``begun``, is ``done`` or has ``failed``; ``origin`` says whose run.

        A live release that it does not know yet comes first, and once: before anything changes, or where nothing is
        started with the end.
        """
        own = dict(origin) | asdict(self.target) | {"action": self.action, "previous": _plain(self.previous)}
        found = [own | self.found | {"event": "found", "previous": None}] if self.found else []
        if event == "begun":
            return [*found, own | {"event": event}]
        if event == "failed":
            return [own | {"event": event, "reason": reason}]
        return ([] if self.start else found) + ([] if self.nothing else [own | {"event": event}])

    def as_dict(self) -> dict[str, Any]:
        """Plain data for playbooks."""
        decided = ("takes_back", "removes", "restore_to", "warms")
        return asdict(self) | {name: getattr(self, name) for name in decided}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """What :meth:`as_dict` made plain."""
        values = {name: data[name] for name in cls.__dataclass_fields__}
        releases = {name: Running(**values[name]) for name in ("target", "previous", "live", "warm") if values[name]}
        return cls(**values | releases)


def _plain(running: Running | None) -> dict[str, str] | None:
    return asdict(running) if running else None


def other(colour: str) -> str:
    """The colour that is not this one."""
    return COLOURS[1 - COLOURS.index(colour)]


def find_truth(edges: Mapping[str, str], surveys: Surveys) -> Truth:
    """Puts together each edge's live colour and each app host's survey (see :func:`host.survey`)."""
    events = history.merge(survey["history"] for survey in surveys.values())
    pointed = _agreed_colour(edges, events)
    truth = Truth(
        pointed=pointed,
        live=_most_common(pointed, surveys),
        idle=_everywhere(other(pointed), surveys),
        incomplete=[],
        split=dict(edges) if len(set(edges.values())) > 1 or MIXED in edges.values() else {},
        events=events,
    )
    if truth.idle and not truth.live and set(edges.values()) == {MIXED}:
        # A rolling release that was killed when every host had changed and before the edges were told.
        truth.pointed, truth.live, truth.idle = truth.idle.colour, truth.idle, None
    if truth.live:
        truth.incomplete = [host for host, survey in surveys.items() if not _complete(survey, truth.live)]
    if truth.split:
        told = ", ".join(f"{edge} {colour}" for edge, colour in truth.split.items())
        truth.notes.append(f"the edges disagreed ({told}); {pointed} counts")
    truth.notes += _idle_workers(truth.pointed, surveys)
    truth.notes += filter(None, [history.taken_back(events)])
    killed = history.unfinished(events)
    if killed:
        truth.notes.append(
            f"the {killed.get('action', 'deploy')} of {killed['version']} by {killed.get('by', 'someone')} "
            f"at {killed['at']} never ended"
        )
    return truth


def _idle_workers(colour: str, surveys: Surveys) -> list[str]:
    """The live colour's workers that do not work."""
    return [
        f"{host}: the worker {container['name']} is {container['state']}"
        for host, survey in surveys.items()
        for container in survey.get("containers", [])
        if (container["role"], container["colour"]) == ("worker", colour)
        and container["state"] not in ("running", "exited")
    ]


def _agreed_colour(edges: Mapping[str, str], events: Sequence[history.Event]) -> str:
    """The majority, else the colour that was recorded live last. An edge that was left at a canary has no vote."""
    votes = Counter(colour for colour in edges.values() if colour != MIXED).most_common()
    if not votes or (len(votes) > 1 and votes[0][1] == votes[1][1]):
        recorded = [str(event["colour"]) for event in events if event["event"] in history.LIVE_EVENTS]
        if recorded and (recorded[-1] in edges.values() or not votes):
            return recorded[-1]
    return str(votes[0][0]) if votes else COLOURS[0]


def _version(survey: Mapping[str, Any], colour: str) -> str | None:
    """The version of a colour whose instances all run on a host."""
    state = survey["colours"].get(colour)
    return str(state["version"]) if state and state["version"] and state["complete"] else None


def _complete(survey: Mapping[str, Any], running: Running) -> bool:
    return _version(survey, running.colour) == running.version


def _most_common(colour: str, surveys: Surveys) -> Running | None:
    versions = Counter(version for survey in surveys.values() if (version := _version(survey, colour)))
    return Running(colour, versions.most_common(1)[0][0]) if versions else None


def _everywhere(colour: str, surveys: Surveys) -> Running | None:
    versions = {_version(survey, colour) for survey in surveys.values()}
    version = versions.pop() if len(versions) == 1 else None
    return Running(colour, version) if version else None


def plan_deploy(truth: Truth, surveys: Surveys, version: str, force: bool = False) -> Plan:
    """A new version goes beside the live one; the live one is left alone; an interrupted run is taken up again."""
    live, idle = truth.live, truth.idle
    common = _common("deploy", truth)
    if live and live.version == version and not force:
        killed = history.unfinished(truth.events)
        proving = killed is not None and killed["version"] == version and killed.get("colour") == live.colour
        before = (killed or {}).get("previous") or {}
        previous = idle if proving and idle and idle.version == before.get("version") else None
        nothing = not (proving or truth.incomplete or truth.split)
        found = None if proving else _found(truth)
        if not (nothing or previous):
            previous = _kept_by_a_bake(truth, surveys)
        return Plan(live, previous, truth.incomplete, switch=False, nothing=nothing, found=found, **common)
    target = Running(other(truth.pointed), version)
    warm = idle if idle and idle.version != version else None
    return Plan(target, live, list(surveys), switch=True, nothing=False, warm=warm, found=_found(truth), **common)


def _kept_by_a_bake(truth: Truth, surveys: Surveys) -> Running | None:
    """What the live release's bake would go back to. This run ends that bake, and begins another where it can."""
    bakes = [survey["bake"] for survey in surveys.values() if survey.get("bake")]
    bake = next((one for one in bakes if truth.live and one["version"] == truth.live.version), None)
    if bake is None:
        return None
    if truth.idle and truth.idle.version == bake["previous_version"]:
        return truth.idle
    truth.notes.append(
        f"the bake of {bake['version']} ends with this run: {bake['previous_version']}, to which it would go back, "
        "does not run on every host"
    )
    return None


def plan_rollback(truth: Truth, surveys: Surveys, to: str | None = None) -> Plan:
    """Back to ``to`` or to the version before the live one; by a switch alone when it is warm on every host."""
    version = to or _before(truth)
    live, idle = truth.live, truth.idle
    common = _common("rollback", truth) | {"found": _found(truth)}
    if live and live.version == version:
        nothing = not (truth.incomplete or truth.split)
        return Plan(live, None, truth.incomplete, switch=False, nothing=nothing, **common)
    if idle and idle.version == version:
        return Plan(idle, live, [], switch=True, nothing=False, **common)
    target = Running(other(truth.pointed), version)
    return Plan(target, live, list(surveys), switch=True, nothing=False, warm=idle, **common)


def _common(action: str, truth: Truth) -> dict[str, Any]:
    return {
        "action": action,
        "pointed": truth.pointed,
        "live": truth.live,
        "split": truth.split,
        "notes": truth.notes,
    }


def _before(truth: Truth) -> str:
    stack = history.live_versions(truth.events)
    earlier = history.before(stack, truth.live.version) if truth.live else stack
    if earlier:
        return earlier[-1]
    if truth.idle and not truth.events:
        return truth.idle.version
    raise RequestError("There is no earlier release in the history; name one with -e to=VERSION.")


def _found(truth: Truth) -> dict[str, str] | None:
    """What a killed run left live without a word in the history."""
    if not truth.live:
        return None
    stack = history.live_versions(truth.events)
    if stack and stack[-1] == truth.live.version:
        return None
    action = "rollback" if truth.live.version in stack else "deploy"
    return {"action": action, **asdict(truth.live)}
