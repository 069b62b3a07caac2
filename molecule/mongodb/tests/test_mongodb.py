"""Users, indexes and documents in a real server, and a server that comes from a signed repository."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from machine import until
from playbook import Run, play

testinfra_hosts = ["keeper1"]
SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
os.environ.setdefault("MOLECULE_PROJECT_DIRECTORY", str(SCENARIO.parents[1]))  # the inventory reads it
HOSTS = yaml.safe_load(INVENTORY.read_text())["all"]["children"]["mongodb_server"]["hosts"]
KEEPER, MEMBER = HOSTS["keeper1"], HOSTS["member1"]
SECRETS = ("only-for-this-scenario-", MEMBER["mongodb_keyfile"])
SERVER = "mongodb://{}127.0.0.1:27017/"
SEEN = """
import json, sys, pymongo
client = pymongo.MongoClient("mongodb://root:only-for-this-scenario@127.0.0.1:27017/", serverSelectionTimeoutMS=5000)
{}
data = client.modelops
print(json.dumps({{
    "users": sorted(user["_id"] for user in client.admin.command("usersInfo", {{"forAllDBs": True}})["users"]),
    "indexes": {{name: sorted(data[name].index_information()) for name in data.list_collection_names()}},
    "models": {{one["_id"]: one["status"] for one in data.models.find()}},
}}))
"""
COMES_IN = """
import sys, pymongo
name, password, source = sys.stdin.read().split()
client = pymongo.MongoClient("127.0.0.1", 27017, username=name, password=password, authSource=source)
client.modelops.models.insert_one({"of": name})
client.modelops.models.delete_many({"of": name})
"""

keeper, member = (testinfra.get_host(f"docker://slipway-mongodb-{name}") for name in ("keeper1", "member1"))


def seen(first: str = "") -> dict[str, Any]:
    """What is in the server, after something is done to it."""
    return json.loads(keeper.check_output("python3 -c %s", SEEN.format(first)))


def comes_in(name: str, password: str, source: str) -> bool:
    return keeper.run(f"echo {name} {password} {source} | python3 -c '{COMES_IN}'").rc == 0


def configure(host: str, *options: str, **variables: Any) -> Run:
    """Runs the scenario's play of a host, with other variables than the inventory's."""
    return play(SCENARIO / "converge.yml", INVENTORY, f"--limit={host}", "--diff", *options, **variables)


def test_users_indexes_and_first_documents_are_there():
    found = seen()
    assert found["users"] == ["admin.modelops", "admin.root", "modelops.reports"]
    assert found["indexes"] == {
        "users": ["_id_", "email_1"],
        "models": ["_id_", "provider_1_status_1"],
        "evaluations": ["_id_", "model_id_1_status_1", "user_id_1_created_at_-1", "user_id_1_model_id_1_created_at_-1"],
        "files": ["_id_", "user_id_1_upload_status_1"],
    }
    assert found["models"] == {"sample-small": "active", "sample-large": "retired"}
    assert comes_in("modelops", KEEPER["mongodb_users"][0]["password"], "admin")
    assert not comes_in("modelops", KEEPER["mongodb_users"][1]["password"], "admin")
    twice = "data.users.insert_one({'email': 'one'}); data.users.insert_one({'email': 'one'})"
    assert "DuplicateKeyError" in keeper.run("python3 -c %s", SEEN.format(f"data = client.modelops; {twice}")).stderr
    seen("client.modelops.users.delete_many({})")


def test_what_was_changed_by_hand_is_put_back_and_documents_stay():
    before = seen()
    seen(
        "client.modelops.evaluations.drop_index('model_id_1_status_1'); client.modelops.command('dropUser', 'reports');"
        " client.admin.command('updateUser', 'modelops', pwd='changed-by-somebody');"
        " client.modelops.models.update_one({'_id': 'sample-small'}, {'$set': {'status': 'changed'}});"
        " client.modelops.models.delete_one({'_id': 'sample-large'});"
        " client.modelops.models.create_index('of_somebody')"
    )
    told = (
        "made user reports of modelops: no role",
        "changed user modelops of admin: another password",
        "made index model_id_1_status_1 of modelops.evaluations",
        "put 1 documents into modelops.models",
    )
    damaged = seen()
    for options in (("--check",), ()):
        run = configure("keeper1", *options)
        assert run.code == 0 and run.changed == 1 and all(one in run.output for one in told), run.output
        assert not any(secret in run.output for secret in SECRETS)
        if options:
            assert seen() == damaged
    after = seen()
    assert after["models"] == {"sample-small": "changed", "sample-large": "retired"}, "what is there stays as it is"
    assert "of_somebody_1" in after["indexes"]["models"] and after["users"] == before["users"]
    assert comes_in("modelops", KEEPER["mongodb_users"][0]["password"], "admin")
    assert configure("keeper1").changed == 0
    seen("client.modelops.models.drop_index('of_somebody_1')")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"mongodb_indexes": [{"collection": "modelops.users", "keys": ["email"]}]},
            "is there with other fields or options",
        ),
        ({"mongodb_indexes": [{"collection": "modelops.runs", "keys": ["at"], "sparse": True}]}, "without its options"),
        ({"mongodb_uri": SERVER.format("root:wrong@")}, "the server cannot be asked: "),
        ({"mongodb_uri": "mongodb://root:x@127.0.0.1:9/"}, "Connection refused"),
        ({"mongodb_uri": "", "mongodb_members": []}, "Either mongodb_members names the hosts"),
        ({"mongodb_users": [{"name": "app", "password": "short"}]}, "is shorter than 16 characters"),
        ({"mongodb_seeds": [{"collection": "modelops.models", "documents": [{"a": 1}]}]}, "has no _id"),
        (
            {"mongodb_users": [{"name": "a", "password": "x" * 16, "roles": [{"role": "root", "database": "admin"}]}]},
            "root",
        ),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(variables, words):
    before = seen()
    run = configure("keeper1", **variables)
    assert run.code != 0 and words in run.said, run.output
    assert "Traceback" not in run.output and "root:wrong" not in run.output
    after = seen()
    for state in (before, after):
        state["indexes"].pop("runs", None)  # FerretDB makes the one whose options it does not know
    assert after == before


def test_a_server_comes_from_the_signed_repository_and_answers_over_tls_alone():
    assert member.check_output("dpkg-query -W -f '${Version}' mongodb-org-server") == "8.0.99"
    trusted = (
        "openssl s_client -connect 127.0.0.1:27017 -verify_hostname member1 -verify_return_error -brief < /dev/null"
    )
    assert member.run(trusted).rc == 0
    plain = "pymongo.MongoClient(port=27017, serverSelectionTimeoutMS=3000).admin.command('ping')"
    assert member.run("python3 -c %s", f"import pymongo; {plain}").rc != 0
    listening = member.check_output("ss --listening --tcp --numeric --no-header sport = :27017").split("\n")
    assert len(listening) == 1 and "127.0.0.1:27017" in listening[0]
    conf = yaml.safe_load(member.check_output("cat /etc/mongod.conf"))
    assert conf["security"]["authorization"] == "enabled" and conf["replication"] == {"replSetName": "rs0"}
    assert conf["storage"]["wiredTiger"]["engineConfig"]["cacheSizeGB"] == 0.5
    assert member.check_output("stat -c '%a %U' /run/mongodb/server.pem") == "600 mongodb"
    for secret in SECRETS:
        assert member.run(f"grep -rlF {secret} /etc/mongod.conf /etc/systemd/system /run/systemd/generator").rc != 0


def test_a_server_that_is_killed_comes_back_and_a_changed_file_restarts_it():
    pid = member.check_output("systemctl show --property=MainPID --value mongod")
    member.check_output("systemctl kill --signal=SIGKILL mongod")
    now = "systemctl show --property=MainPID --value mongod"
    assert until(lambda: member.check_output(now) not in ("0", pid) and member.run("ss -ltn | grep :27017").rc == 0)
    pid = member.check_output(now)
    foreseen = configure("member1", "--check", mongodb_cache="1GiB")
    assert foreseen.code == 0 and foreseen.changed > 0 and member.check_output(now) == pid, foreseen.output
    run = configure("member1", mongodb_cache="1GiB")
    assert run.code == 0 and member.check_output(now) != pid, run.output
    assert configure("member1").code == 0 and configure("member1").changed == 0


def test_what_is_not_well_is_told_and_measured():
    """FerretDB is no member of a replica set: the check says what the server says."""
    told = member.run("slipway-mongodb check")
    assert told.rc == 1 and "the server cannot be asked: " in told.stderr + told.stdout, told
    place = "/var/lib/prometheus/node-exporter"
    member.check_output(f"mkdir -p {place}; systemctl start slipway-mongodb-metrics.service")
    assert 'slipway_mongodb_up{set="rs0"} 0' in member.check_output(f"cat {place}/slipway_mongodb.prom")
    member.check_output(f"rm -r {place}")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"mongodb_repository_fingerprint": "0" * 40},
            f"is not the one key of mongodb_repository_fingerprint ({'0' * 40})",
        ),
        ({"mongodb_repository_key": "-----BEGIN PGP PUBLIC KEY BLOCK-----\nx"}, "but none that gpg can read"),
        ({"mongodb_members": ["member1", "keeper1"]}, "mongodb_members (member1, keeper1) are an odd number"),
        ({"mongodb_arbiter": "member1"}, "is one of three mongodb_members or more, and not the first"),
        ({"mongodb_keyfile": ""}, "mongodb_keyfile is 32 to 1024 characters of Base64"),
        ({"mongodb_addresses": ["0.0.0.0"]}, "are addresses of the host, not all of them"),
        ({"mongodb_settings": {"security": {"authorization": "disabled"}}}, "which the role sets itself"),
        (
            {"mongodb_certificate": "nothing"},
            "certificates/nothing/key.pem is not there: run the role certificate first",
        ),
    ],
)
def test_what_a_member_cannot_be_is_refused_and_nothing_stops(variables, words):
    before = member.check_output(
        "systemctl show --property=MainPID --value mongod; cat /etc/apt/sources.list.d/mongodb-org.sources"
    )
    run = configure("member1", **variables)
    assert run.code != 0 and words in run.said, run.output
    assert not any(secret in run.output for secret in SECRETS)
    after = member.check_output(
        "systemctl show --property=MainPID --value mongod; cat /etc/apt/sources.list.d/mongodb-org.sources"
    )
    assert after == before
