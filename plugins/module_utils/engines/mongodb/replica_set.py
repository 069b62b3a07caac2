# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A replica set and its administrator: begun once, and kept at the members that the inventory names."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.client import client_of
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.objects import AUTHENTICATION_FAILED

UNAUTHORIZED = 13
_LOOK = 2.0  # seconds for a member that may be away
Connect = Callable[..., AbstractContextManager[Any]]


@dataclass(frozen=True)
class Member:
    """``host`` with its port."""

    host: str
    arbiter: bool = False


@dataclass(frozen=True)
class Asked:
    """``local`` is the URI of this host's own server on loopback, where the server lets in who makes the first user;
    ``options`` are those of every URI."""

    name: str
    members: Sequence[Member]
    local: str
    options: str
    user: str
    password: str = field(repr=False)
    patience: float = 60.0

    @property
    def uri(self) -> str:
        """The set, through whoever leads it."""
        hosts = ",".join(one.host for one in self.members)
        return f"mongodb://{hosts}/?replicaSet={self.name}&{self.options}"

    def alone(self, host: str) -> str:
        return f"mongodb://{host}/?directConnection=true&{self.options}"

    @property
    def credentials(self) -> dict[str, str]:
        return {"username": self.user, "password": self.password, "authSource": "admin"}


def settle(asked: Asked, check: bool = False, connect: Connect = client_of, pause: float = 1.0) -> list[str]:
    """What was done, or would be, a sentence each."""
    if not _begun(asked, connect):
        if check:
            return [_told_begun(asked), f"made user {asked.user} of admin"]
        with connect(asked.local) as local:
            local.admin.command("replSetInitiate", first_configuration(asked.name, asked.members))
        _await_leader(asked, connect, pause)
        return [_told_begun(asked), *_administrator(asked, connect), *_members(asked, check, connect)]
    if not check:
        _await_leader(asked, connect, pause)
    return [*_administrator(asked, connect, check), *_members(asked, check, connect)]


def first_configuration(name: str, members: Sequence[Member]) -> dict[str, Any]:
    """What a set begins with."""
    return {"_id": name, "version": 1, "members": [_entry(number, one) for number, one in enumerate(members)]}


def next_configuration(now: Mapping[str, Any], members: Sequence[Member]) -> tuple[dict[str, Any], str] | None:
    """The configuration that is one member nearer to what is wanted, and what it does; servers take no more at a time.
    An arbiter becomes no member with data, or the other way around: it goes, and comes back. What else somebody set of
    a member, such as its priority, stays."""
    made = copy.deepcopy(dict(now))
    made["version"] = int(now["version"]) + 1
    there = {one["host"]: one for one in made["members"]}
    arbiters = {one.host: one.arbiter for one in members}
    for host, one in there.items():
        if host in arbiters and bool(one.get("arbiterOnly")) != arbiters[host]:
            made["members"].remove(one)
            return (
                made,
                f"took {host} out of the set, to let it in again as {'an arbiter' if arbiters[host] else 'a member'}",
            )
    for wanted in members:
        if wanted.host not in there:
            number = max(one["_id"] for one in made["members"]) + 1
            made["members"].append(_entry(number, wanted))
            return made, f"took {wanted.host} into the set"
    for host, one in there.items():
        if host not in arbiters:
            made["members"].remove(one)
            return made, f"took {host} out of the set"
    return None


def _entry(number: int, one: Member) -> dict[str, Any]:
    entry: dict[str, Any] = {"_id": number, "host": one.host}
    return {**entry, "arbiterOnly": True, "priority": 0} if one.arbiter else entry


def _told_begun(asked: Asked) -> str:
    return f"began the replica set {asked.name} of {', '.join(one.host for one in asked.members)}"


def _begun(asked: Asked, connect: Connect) -> bool:
    """Whether any member is in the set. One that has lost its data is not, and the others take it in again."""
    silent = []
    for one in asked.members:
        try:
            with connect(asked.alone(one.host), _LOOK) as client:
                name = client.admin.command("hello").get("setName")
        except MongodbError as error:
            silent.append(f"{one.host}: {error}")
            continue
        if name == asked.name:
            return True
        if name:
            raise MongodbError(f"{one.host} is a member of the set {name}, not of {asked.name}; nothing was changed")
    if silent:
        raise MongodbError(
            f"no member that answers is in the set {asked.name}, and it cannot begin without all: {'; '.join(silent)}"
        )
    return False


def _await_leader(asked: Asked, connect: Connect, pause: float) -> None:
    deadline = time.monotonic() + asked.patience
    while True:
        with connect(asked.local) as local:
            told = local.admin.command("hello")
        if told.get("isWritablePrimary") or told.get("primary"):
            return
        if time.monotonic() >= deadline:
            raise MongodbError(
                f"the set {asked.name} has no primary after {asked.patience:g} s: do its members reach each other, and"
                " do most of them run? journalctl -u mongod says more"
            )
        time.sleep(pause)


def _administrator(asked: Asked, connect: Connect, check: bool = False) -> list[str]:
    """Made where the server lets the first user in without one, which it does on its own host alone."""
    try:
        with connect(asked.uri, **asked.credentials) as client:
            client.admin.command("ping")
            return []
    except MongodbError as error:
        if error.code != AUTHENTICATION_FAILED:
            raise
    told = f"made user {asked.user} of admin"
    if check:
        return [told]
    try:
        with connect(asked.local) as local:
            roles = [{"role": "root", "db": "admin"}]
            local.admin.command("createUser", asked.user, pwd=asked.password, roles=roles)
    except MongodbError as error:
        if error.code != UNAUTHORIZED:
            raise
        raise MongodbError(
            f"the user {asked.user} does not come in with this password, and others are there already: mend the"
            " password in the vault, or change it at the server"
        ) from error
    return [told]


def _members(asked: Asked, check: bool, connect: Connect) -> list[str]:
    with connect(asked.uri, **asked.credentials) as client:
        now: Mapping[str, Any] = client.admin.command("replSetGetConfig")["config"]
        done = []
        while step := next_configuration(now, asked.members):
            now, told = step
            if not check:
                client.admin.command("replSetReconfig", now)
                now = client.admin.command("replSetGetConfig")["config"]
            done.append(told)
        return done
