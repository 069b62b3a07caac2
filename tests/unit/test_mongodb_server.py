"""MongoDB's own server: what is sent to it, where none can be had to send it to."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError, objects, state
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.objects import Index, User, apply, wanted
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.replica_set import (
    Asked,
    Member,
    first_configuration,
    next_configuration,
    settle,
)

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = [Member("db1:27017"), Member("db2:27017"), Member("db3:27017", arbiter=True)]
ASKED = Asked("rs0", MEMBERS, "mongodb://127.0.0.1:27017/", "tls=true", "admin", "of-the-admin", patience=0)


def coded(code: int) -> MongodbError:
    error = MongodbError("refused")
    error.code = code
    return error


class Set:
    """A replica set's servers, as much of them as is asked for. ``sent`` are the commands that change something."""

    def __init__(
        self, *, configuration: dict[str, Any] | None = None, admin: str = "", away: tuple[str, ...] = ()
    ) -> None:
        self.configuration, self.admin_password, self.away = configuration, admin, away
        self.sent: list[tuple[str, Any]] = []
        self.leads = True

    @contextmanager
    def connect(self, uri: str, patience: float = 20, **options: Any) -> Iterator[Any]:
        if any(host in uri and "directConnection" in uri for host in self.away):
            raise MongodbError("no answer")
        if options and options["password"] != self.admin_password:
            raise coded(18)
        self.known = bool(options)
        yield self

    @property
    def admin(self) -> Set:
        return self

    def command(self, name: str, value: Any = 1, **more: Any) -> dict[str, Any]:
        if name == "hello":
            told: dict[str, Any] = {"isWritablePrimary": self.leads and bool(self.configuration)}
            return told | ({"setName": self.configuration["_id"]} if self.configuration else {})
        if name == "replSetGetConfig":
            return {"config": self.configuration}
        if name == "createUser" and self.admin_password and not self.known:
            raise coded(13)
        if name != "ping":
            self.sent.append((name, value))
        if name in ("replSetInitiate", "replSetReconfig"):
            self.configuration = value
        if name == "createUser":
            self.admin_password = more["pwd"]
            assert more["roles"] == [{"role": "root", "db": "admin"}]
        return {}


def test_a_set_begins_once_with_its_members_and_its_administrator() -> None:
    servers = Set()
    told = settle(ASKED, connect=servers.connect, pause=0)
    assert told == ["began the replica set rs0 of db1:27017, db2:27017, db3:27017", "made user admin of admin"]
    assert servers.sent == [
        (
            "replSetInitiate",
            {
                "_id": "rs0",
                "version": 1,
                "members": [
                    {"_id": 0, "host": "db1:27017"},
                    {"_id": 1, "host": "db2:27017"},
                    {"_id": 2, "host": "db3:27017", "arbiterOnly": True, "priority": 0},
                ],
            },
        ),
        ("createUser", "admin"),
    ]
    assert settle(ASKED, connect=servers.connect) == []


def test_check_mode_tells_the_same_and_sends_nothing() -> None:
    servers = Set()
    assert len(settle(ASKED, check=True, connect=servers.connect)) == 2
    servers.configuration, servers.admin_password = first_configuration("rs0", MEMBERS[:1]), "of-the-admin"
    assert settle(ASKED, check=True, connect=servers.connect) == [
        "took db2:27017 into the set",
        "took db3:27017 into the set",
    ]
    assert servers.sent == []


def test_a_set_that_runs_is_not_begun_anew_from_a_member_without_data() -> None:
    servers = Set(configuration=first_configuration("rs0", MEMBERS), admin="of-the-admin", away=("db1:27017",))
    assert settle(ASKED, connect=servers.connect) == []
    with pytest.raises(MongodbError, match=r"cannot begin without all: db2:27017: no answer"):
        settle(ASKED, connect=Set(away=("db2:27017",)).connect)
    with pytest.raises(MongodbError, match="db1:27017 is a member of the set other, not of rs0; nothing was changed"):
        settle(ASKED, connect=Set(configuration=first_configuration("other", MEMBERS)).connect)


def test_a_set_without_a_leader_and_a_password_that_is_another_are_told() -> None:
    servers = Set(configuration=first_configuration("rs0", MEMBERS), admin="another")
    with pytest.raises(MongodbError, match=r"does not come in with this password, and others are there already"):
        settle(ASKED, connect=servers.connect)
    servers.leads = False
    with pytest.raises(MongodbError, match="the set rs0 has no primary after 0 s"):
        settle(ASKED, connect=servers.connect, pause=0)
    assert "of-the-admin" not in repr(ASKED) and servers.sent == []


def test_members_come_and_go_one_at_a_time_and_what_somebody_set_stays() -> None:
    now: Mapping[str, Any] = first_configuration("rs0", MEMBERS)
    now["members"][0]["priority"] = 2
    steps, told = [], []
    while step := next_configuration(now, [MEMBERS[0], Member("db3:27017"), Member("db4:27017")]):
        now, said = step
        steps.append([one["host"].partition(":")[0] for one in now["members"]])
        told.append(said)
    assert steps == [["db1", "db2"], ["db1", "db2", "db3"], ["db1", "db2", "db3", "db4"], ["db1", "db3", "db4"]]
    assert told[0] == "took db3:27017 out of the set, to let it in again as a member"
    assert now["version"] == 5 and now["members"][0] == {"_id": 0, "host": "db1:27017", "priority": 2}
    assert [one["_id"] for one in now["members"]] == [0, 2, 3]


class Database:
    """What a server says of users and indexes, and takes of them."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name

    def __getitem__(self, collection: str) -> Database:
        return Database(self.server, f"{self.name}.{collection}")

    def command(self, name: str, value: Any = None, **more: Any) -> dict[str, Any]:
        if name == "usersInfo":
            found = self.server.users.get(f"{value['db']}.{value['user']}")
            return {"users": [] if found is None else [{"roles": found}]}
        if name in ("ping", "connectionStatus"):
            return {}
        self.server.sent.append((self.name, name, value, more))
        if name == "createIndexes":
            self.server.indexes.setdefault(f"{self.name}.{value}", []).extend(map(self.server.takes, more["indexes"]))
        return {}

    def list_indexes(self) -> list[dict[str, Any]]:
        return self.server.indexes.get(self.name, [])

    def find(self, *_: Any) -> list[dict[str, Any]]:
        return [{"_id": one} for one in self.server.documents]

    def insert_many(self, documents: list[dict[str, Any]]) -> None:
        self.server.sent.append((self.name, "insert", None, {"documents": documents}))


class Server:
    def __init__(self) -> None:
        self.users: dict[str, list[dict[str, str]]] = {}
        self.indexes: dict[str, list[dict[str, Any]]] = {}
        self.documents: list[str] = []
        self.password = "of-the-application"
        self.sent: list[tuple[str, str, Any, dict[str, Any]]] = []
        self.takes = dict

    def __getitem__(self, name: str) -> Database:
        return Database(self, name)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    there = Server()

    @contextmanager
    def client_of(uri: str, *_: Any, **options: Any) -> Iterator[Server]:
        if options and options["password"] != there.password:
            raise coded(18)
        yield there

    monkeypatch.setattr(objects, "client_of", client_of)
    return there


APPLICATION = User("app", "of-the-application", "admin", frozenset({("readWrite", "modelops")}))


def test_users_are_made_with_their_roles_alone_and_changed_when_they_differ(server: Server) -> None:
    asked = objects.Wanted(users=[APPLICATION])
    assert apply("mongodb://db/", asked) == ["made user app of admin: readWrite on modelops"]
    granted = [{"role": "readWrite", "db": "modelops"}]
    assert server.sent == [("admin", "createUser", "app", {"pwd": "of-the-application", "roles": granted})]
    server.users["admin.app"] = granted
    assert apply("mongodb://db/", asked) == []
    server.users["admin.app"], server.password, server.sent = [*granted, {"role": "root", "db": "admin"}], "former", []
    told = [
        "changed user app of admin: readWrite on modelops instead of readWrite on modelops, root on admin",
        "changed user app of admin: another password",
    ]
    assert apply("mongodb://db/", asked, check=True) == told and server.sent == []
    assert apply("mongodb://db/", asked) == told
    assert [more for *_, more in server.sent] == [{"roles": granted}, {"pwd": "of-the-application"}]
    assert "of-the-application" not in "".join(told) + repr(APPLICATION)


def test_the_indexes_of_the_reference_system_are_made_as_they_are_meant(server: Server) -> None:
    given: list[dict[str, Any]] = [
        {"collection": "m.users", "keys": ["email"], "unique": True},
        {"collection": "m.evaluations", "keys": ["user_id", "model_id", "-created_at"]},
        {"collection": "m.places", "keys": ["at:2dsphere"], "sparse": True, "name": "near"},
        {"collection": "m.sessions", "keys": ["seen"], "expire_after": 3600, "partial": {"kept": False}},
        {"collection": "m.tokens", "keys": ["until"], "expire_after": 0, "unique": False, "sparse": None},
    ]
    asked = wanted([], given, [])
    assert len(apply("mongodb://db/", asked)) == 5
    assert [more["indexes"][0] for *_, more in server.sent] == [
        {"name": "email_1", "key": {"email": 1}, "unique": True},
        {"name": "user_id_1_model_id_1_created_at_-1", "key": {"user_id": 1, "model_id": 1, "created_at": -1}},
        {"name": "near", "key": {"at": "2dsphere"}, "sparse": True},
        {
            "name": "seen_1",
            "key": {"seen": 1},
            "expireAfterSeconds": 3600,
            "partialFilterExpression": {"kept": False},
        },
        {"name": "until_1", "key": {"until": 1}, "expireAfterSeconds": 0},
    ]
    assert list(server.sent[1][3]["indexes"][0]["key"]) == ["user_id", "model_id", "created_at"], "in this order"
    server.sent = []
    assert apply("mongodb://db/", asked) == [] and server.sent == []


def test_an_index_that_is_another_is_not_made_anew_and_one_of_another_name_is_enough(server: Server) -> None:
    one = Index("m", "users", (("email", 1),), "email_1", {"unique": True})
    server.indexes["m.users"] = [{"v": 2, "name": "by_mail", "key": {"email": 1.0}, "unique": True, "background": True}]
    assert apply("mongodb://db/", objects.Wanted(indexes=[one])) == []
    server.indexes["m.users"] = [{"v": 2, "name": "email_1", "key": {"email": 1}}]
    with pytest.raises(MongodbError, match=r"index email_1 of m\.users is there with other fields or options"):
        apply("mongodb://db/", objects.Wanted(indexes=[one]))
    assert server.sent == []
    server.takes = lambda index: {key: index[key] for key in ("name", "key")}  # type: ignore[assignment]
    with pytest.raises(MongodbError, match=r"made the index email_2 of m\.users without its options"):
        apply("mongodb://db/", objects.Wanted(indexes=[replace(one, name="email_2")]))


def test_first_documents_are_put_there_once(server: Server) -> None:
    asked = wanted([], [], [{"collection": "m.models", "documents": [{"_id": "a", "at": 1}, {"_id": "b"}]}])
    server.documents = ["a"]
    assert apply("mongodb://db/", asked) == ["put 1 documents into m.models"]
    assert server.sent == [("m.models", "insert", None, {"documents": [{"_id": "b"}]})]
    with pytest.raises(MongodbError, match=r"a document of m\.models has no _id"):
        wanted([], [], [{"collection": "m.models", "documents": [{"at": 1}]}])
    with pytest.raises(MongodbError, match=r"'models' is no collection such as app\.users"):
        wanted([], [{"collection": "models", "keys": ["at"]}], [])


def status(leader: str | None, behind: float = 0, own: str = "db2:27017", gone: str = "") -> dict[str, Any]:
    at = datetime.datetime(2026, 11, 30, tzinfo=datetime.timezone.utc)
    return {
        "members": [
            {
                "name": one.host,
                "self": one.host == own,
                "health": 0.0 if one.host == gone else 1.0,
                "stateStr": "ARBITER" if one.arbiter else "PRIMARY" if one.host == leader else "SECONDARY",
                "optimeDate": at if one.host == leader else at - datetime.timedelta(seconds=behind),
            }
            for one in MEMBERS
        ]
    }


def test_the_state_of_a_set_is_what_its_member_says() -> None:
    well = state.seen(status("db1:27017", behind=12))
    assert (well.leads, well.lag) == (False, 12) and state.problems(well) == []
    assert state.seen(status("db2:27017")).leads
    assert state.problems(state.seen(status("db1:27017", behind=61))) == ["this member is 61 s behind who leads"]
    alone = state.seen(status("db1:27017", gone="db1:27017"))
    assert alone.lag is None
    assert state.problems(alone) == ["db1:27017 is DOWN", "nobody leads, so that nothing can be written"]


def test_metrics_are_those_that_the_alerts_ask_for() -> None:
    told = "".join(state.exposition("rs0", state.seen(status("db1:27017", behind=12, gone="db3:27017"))))
    for line in (
        'slipway_mongodb_up{set="rs0"} 1',
        'slipway_mongodb_primary{set="rs0"} 0',
        'slipway_mongodb_lag_seconds{set="rs0"} 12.0',
        'slipway_mongodb_member_healthy{set="rs0",member="db3:27017"} 0',
    ):
        assert line in told.replace(", ", ",").splitlines(), told
    assert "slipway_mongodb_primary{" not in "".join(state.exposition("rs0", None))
    alerts = (ROOT / "roles/mongodb/meta/alerts.yml").read_text()
    names = {line.split()[2] for line in told.splitlines() if line.startswith("# TYPE")}
    assert set(re.findall(r"slipway_mongodb_\w+\b(?!\.prom)", alerts)) == names, "no alert on what nobody measures"
    assert f"> {state.LAG:g}\n" in alerts


def test_check_and_publish_tell_of_a_server_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(state, "SETTINGS", tmp_path / "state.json")
    assert state.main(["check"]) == 1 and "run the role mongodb again" in capsys.readouterr().err
    state.SETTINGS.write_text(json.dumps({"set": "rs0", "uri": "mongodb://x", "user": "u", "password": "p"}))

    def look(_: object) -> state.Seen:
        raise MongodbError("the server cannot be asked: no answer")

    monkeypatch.setattr(state, "look", look)
    assert state.main(["check"]) == 1 and "no answer" in capsys.readouterr().out
    assert state.main(["publish", str(tmp_path)]) == 0
    assert 'slipway_mongodb_up{set="rs0"} 0' in (tmp_path / state.FILE).read_text()
    monkeypatch.setattr(state, "look", lambda _: state.seen(status("db1:27017")))
    assert state.main(["check"]) == 0 and capsys.readouterr().out == "3 members of rs0 are well\n"


def test_an_arbiter_is_asked_without_a_user_as_it_knows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Arbiter:
        @property
        def admin(self) -> Arbiter:
            return self

        def command(self, name: str) -> dict[str, Any]:
            assert name == "hello"
            return {"me": "db3:27017", "primary": "db1:27017", "arbiterOnly": True}

    @contextmanager
    def client_of(uri: str, patience: float, **options: Any) -> Iterator[Arbiter]:
        assert not options
        yield Arbiter()

    monkeypatch.setattr(state, "client_of", client_of)
    settings = {"set": "rs0", "uri": "mongodb://127.0.0.1/", "user": "slipway", "password": "p", "arbiter": True}
    found = state.look(settings)
    assert found.states == {"db3:27017": "ARBITER", "db1:27017": "PRIMARY"} and state.problems(found) == []
