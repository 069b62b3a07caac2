# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Has AWX's objects be as they are wanted: makes what is missing, changes what differs, and tells both.

A second run changes nothing. What somebody changed by hand is told, field by field, before it is put back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.awx.client import AwxError, Client

ENCRYPTED = "$encrypted$"  # what AWX says instead of a secret
TEXTS = ("extra_vars", "variables", "source_vars", "extra_data")  # mappings that AWX keeps as text
MADE = "Of Slipway's list of jobs"  # description of a schedule, so that one that left the list is known
SECRET = ("notification_configuration",)  # fields whose content is told to nobody
SYNC = 600.0  # seconds for a project's first update


@dataclass(frozen=True)
class Ref:
    """Another object, by its kind and name."""

    kind: str
    name: str


@dataclass(frozen=True)
class Wanted:
    """An object as it is wanted. ``key`` finds it; ``fields`` are put right; ``links`` are exactly these."""

    kind: str
    name: str
    key: Mapping[str, Any]
    fields: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, Sequence[Ref]] = field(default_factory=dict)
    survey: Mapping[str, Any] | None = None
    approval: Mapping[str, Any] | None = None  # of a workflow's node
    ours: bool = True  # one of somebody else is looked up, and never changed


@dataclass
class Sync:
    """What was found and done, with the ids of what there is."""

    client: Client
    check: bool = False
    wait: float = SYNC
    sleep: Callable[[float], None] = time.sleep
    ids: dict[Ref, int] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.made or self.changes)

    def apply(self, wanted: Sequence[Wanted]) -> None:
        for one in wanted:
            self._one(one)

    def _one(self, wanted: Wanted) -> None:
        key = self._resolved(wanted.key)
        if key is None:  # in check mode: it belongs to what is not there yet
            self.made.append(f"{wanted.kind} {wanted.name}")
            return
        found = self.client.find(wanted.kind, key)
        if found is None and not wanted.ours:
            raise AwxError(f"{wanted.kind} has no {wanted.name!r}; make it by hand, for its secrets are nobody's here")
        if found is None:
            found = self._make(wanted, key)
        elif wanted.ours:
            found = self._put_right(wanted, found)
        if found is None:
            return
        self.ids[Ref(wanted.kind, wanted.name)] = found["id"]
        if wanted.approval is not None:
            self._approval(wanted, found)
        for name, refs in wanted.links.items():
            self._link(wanted, found, name, refs)
        if wanted.survey is not None:
            self._survey(wanted, found)
        if wanted.kind == "projects":
            self._synced(wanted, found["id"])

    def _make(self, wanted: Wanted, key: Mapping[str, Any]) -> dict[str, Any] | None:
        self.made.append(f"{wanted.kind} {wanted.name}")
        if self.check:
            return None
        body = {**key, **self._sent(wanted.fields)}
        return self.client.request("POST", f"/api/v2/{wanted.kind}/", body)

    def _put_right(self, wanted: Wanted, found: dict[str, Any]) -> dict[str, Any]:
        differing = {}
        for name, value in self._sent(wanted.fields).items():
            if not same(name, found.get(name), value):
                differing[name] = value
                said = f"{_short(found.get(name))} → {_short(value)}"
                if name in SECRET:
                    said = f"differs in {', '.join(_differing(found.get(name), value))}"
                self.changes.append(f"{wanted.kind} {wanted.name}: {name} {said}")
        if differing and not self.check:
            return self.client.request("PATCH", f"/api/v2/{wanted.kind}/{found['id']}/", differing)
        return found

    def _link(self, wanted: Wanted, found: Mapping[str, Any], name: str, refs: Sequence[Ref]) -> None:
        path = f"/api/v2/{wanted.kind}/{found['id']}/{name}/"
        present = {
            one["id"]: str(one.get("name") or one.get("identifier") or one["id"]) for one in self.client.list(path)
        }
        ids = {self._id(ref): ref.name for ref in refs}
        # These first: AWX refuses a second credential of a type before the first one has gone.
        for foreign in [identifier for identifier in present if identifier not in ids]:
            self.changes.append(f"{wanted.kind} {wanted.name}: {name} - {present[foreign]}")
            if not self.check:
                self.client.request("POST", path, {"id": foreign, "disassociate": True})
        for missing in [identifier for identifier in ids if identifier not in present]:
            self.changes.append(f"{wanted.kind} {wanted.name}: {name} + {ids[missing]}")
            if not self.check and missing is not None:
                self.client.request("POST", path, {"id": missing})

    def _survey(self, wanted: Wanted, found: Mapping[str, Any]) -> None:
        path = f"/api/v2/{wanted.kind}/{found['id']}/survey_spec/"
        present = self.client.request("GET", path)
        spec = wanted.survey or {}
        asked = [_asked(one) for one in present.get("spec", [])]
        if asked == [_asked(one) for one in spec.get("spec", [])]:
            return
        names = [one["variable"] for one in spec.get("spec", [])]
        self.changes.append(f"{wanted.kind} {wanted.name}: survey {[one['variable'] for one in asked]} → {names}")
        if self.check:
            return
        if names:
            self.client.request("POST", path, dict(spec))
        else:
            self.client.request("DELETE", path)

    def _approval(self, wanted: Wanted, found: Mapping[str, Any]) -> None:
        """A node's approval is a template of its own, which no list has."""
        node = f"/api/v2/{wanted.kind}/{found['id']}/"
        approval = dict(wanted.approval or {})
        template = found.get("unified_job_template")
        if template is None:
            if f"{wanted.kind} {wanted.name}" not in self.made:
                self.changes.append(f"{wanted.kind} {wanted.name}: + approval {approval['name']}")
            if not self.check:
                self.client.request("POST", f"{node}create_approval_template/", approval)
            return
        path = f"/api/v2/workflow_approval_templates/{template}/"
        present = self.client.request("GET", path)
        differing = {name: value for name, value in approval.items() if present.get(name) != value}
        for name, value in differing.items():
            self.changes.append(f"{wanted.kind} {wanted.name}: {name} {_short(present.get(name))} → {_short(value)}")
        if differing and not self.check:
            self.client.request("PATCH", path, differing)

    def _synced(self, wanted: Wanted, identifier: int) -> None:
        """Waits for a project's files: AWX refuses a template whose playbook it has not seen."""
        if self.check:
            return
        deadline = time.monotonic() + self.wait
        while True:
            project = self.client.request("GET", f"/api/v2/projects/{identifier}/")
            status = project.get("status")
            if status in ("successful", "ok"):
                return
            if status in ("failed", "error", "canceled", "missing"):
                raise AwxError(f"the update of project {wanted.name} is {status}; its job in AWX says why")
            if time.monotonic() > deadline:
                raise AwxError(f"the update of project {wanted.name} is still {status} after {self.wait:g} s")
            self.sleep(2.0)

    def foreign(self, kind: str, organization: str, ours: Sequence[str]) -> list[str]:
        """Objects of the organization that the list does not have: somebody made them by hand. They are left alone."""
        identifier = self.ids.get(Ref("organizations", organization))
        if identifier is None:
            return []
        found = self.client.list(f"/api/v2/{kind}/", {"organization": identifier})
        return sorted(one["name"] for one in found if one["name"] not in ours)

    def unschedule(self, organization: str, wanted: Sequence[Wanted], names: Collection[tuple[str, str]]) -> list[str]:
        """Removes schedules of a list that was: AWX goes on running them, past an approval that was added since.

        Of the list are those that say so (``MADE``), and those of ``names``, each a template and its schedule. Others
        that run are somebody's own, left alone, and returned.
        """
        identifier = self.ids.get(Ref("organizations", organization))
        if identifier is None:
            return []
        keys = [self._resolved(one.key) for one in wanted if one.kind == "schedules"]
        kept = {(key["unified_job_template"], key["name"]) for key in keys if key}
        others = []
        for found in list(self.client.list("/api/v2/schedules/", {"unified_job_template__organization": identifier})):
            of, name = found["summary_fields"]["unified_job_template"], found["name"]
            if (of["id"], name) in kept or of["unified_job_type"] not in ("job", "workflow_job"):
                continue
            if found["description"] == MADE or (of["name"], name) in names:
                self.changes.append(f"schedules {name}: of {of['name']}, removed")
                if not self.check:
                    self.client.request("DELETE", f"/api/v2/schedules/{found['id']}/")
            elif found["enabled"]:
                others.append(f"schedules {name} of {of['name']}")
        return others

    def _id(self, ref: Ref) -> int | None:
        if ref not in self.ids and not self.check:
            raise AwxError(f"{ref.kind} {ref.name} is referred to before it is there")
        return self.ids.get(ref)

    def _resolved(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        found = {name: self._id(value) if isinstance(value, Ref) else value for name, value in key.items()}
        return None if None in found.values() else found

    def _sent(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        sent: dict[str, Any] = {}
        for name, value in fields.items():
            if isinstance(value, Ref):
                sent[name] = self._id(value)
            elif name in TEXTS and name != "extra_data":
                sent[name] = json.dumps(value, sort_keys=True)
            else:
                sent[name] = value
        return sent


def same(name: str, present: Any, wanted: Any) -> bool:
    """Whether a field is as it is wanted. A secret cannot be compared; mappings in texts are, as mappings."""
    if name in TEXTS:
        return _mapping(present) == _mapping(wanted)
    if isinstance(wanted, Mapping) and isinstance(present, Mapping):
        return all(present.get(key) == ENCRYPTED or same("", present.get(key), value) for key, value in wanted.items())
    if wanted in ("", None) and present in ("", None):
        return True
    return present == wanted


def _differing(present: Any, wanted: Mapping[str, Any]) -> list[str]:
    """Names of what differs; a value may be a secret, such as a webhook's URL."""
    there = present if isinstance(present, Mapping) else {}
    return [key for key, value in wanted.items() if there.get(key) != ENCRYPTED and not same("", there.get(key), value)]


def _mapping(value: Any) -> Any:
    """What is in a text; one that is no JSON was written by hand, and is put back as it is wanted."""
    if isinstance(value, str):
        try:
            return json.loads(value) if value.strip() not in ("", "---") else {}
        except ValueError:
            return value
    return value or {}


def _asked(question: Mapping[str, Any]) -> dict[str, Any]:
    """A survey's question without what AWX adds; a password's default is a secret."""
    names = ("variable", "question_name", "type", "required", "default", "choices", "min", "max")
    found: dict[str, Any] = {name: question.get(name) for name in names if question.get(name) not in (None, "", [])}
    choices = found.get("choices")
    return found | {"choices": choices.split("\n")} if isinstance(choices, str) else found


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 80 else f"{text[:77]}…"
