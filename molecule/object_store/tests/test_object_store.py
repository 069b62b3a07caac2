"""The object store from outside: who comes in and who does not, what a crash leaves, and what a run changes."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import pytest
from machine import until
from objects import (
    BUCKETS,
    DIRECTORY,
    INVENTORY,
    OWNER,
    SECRETS,
    UNIT,
    URL,
    USERS,
    answers,
    client,
    configure,
    keys,
    main_process,
    refused,
    s3,
    store,
)
from playbook import play

testinfra_hosts = ["objects1"]
BUCKET = "data.object_store.bucket"
LATE = {"health_deadline": "0s", "health_timeout": "60s"}  # a busy machine is no answer
RECEIVED = re.compile(r"bytes_received:(\d+)")


def put(who: str, bucket: str, key: str, body: str, **options: str):
    return s3(who, "put_object", Bucket=bucket, Key=key, Body=body, **options)


def get(who: str, bucket: str, key: str, **options: str):
    answer = s3(who, "get_object", Bucket=bucket, Key=key, **options)
    return answer.get("Body", answer)


def test_what_is_put_is_got_over_tls_alone():
    words = f"words {uuid.uuid4().hex}"
    assert not refused(put("shop", "uploads", "photos/one.txt", words))
    assert get("shop", "uploads", "photos/one.txt") == words
    assert get("reader", "uploads", "photos/one.txt") == words
    assert client.run("curl --silent --max-time 10 http://objects1:7070/-health").stdout != "OK"
    assert client.run(f"curl --silent --max-time 10 --tls-max 1.1 {URL}/-health").rc != 0
    listening = store.check_output("ss --listening --tcp --numeric --no-header sport = :7070").split("\n")
    assert len(listening) == 1 and "0.0.0.0:7070" not in listening[0] and "*:7070" not in listening[0]


def test_each_reaches_the_buckets_that_name_them():
    put("backups", "backups", "base", "rows")
    for who in ("shop", "reader"):
        assert refused(get(who, "backups", "base")) == "AccessDenied"
        assert refused(put(who, "backups", "base", "others'")) == "AccessDenied"
        assert refused(s3(who, "list_objects_v2", Bucket="backups")) == "AccessDenied"
        assert refused(s3(who, "delete_object", Bucket="backups", Key="base")) == "AccessDenied"
    assert refused(put("reader", "uploads", "photos/two.txt", "x")) == "AccessDenied"
    assert get("backups", "backups", "base") == "rows"


def test_a_user_gives_away_nothing_and_makes_nothing():
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::uploads/*"}
            ],
        }
    )
    assert refused(s3("shop", "put_bucket_policy", Bucket="uploads", Policy=policy)) == "AccessDenied"
    put("shop", "uploads", "kept", "close", ACL="public-read")
    assert refused(get("", "uploads", "kept")) == "AccessDenied"
    assert refused(s3("shop", "create_bucket", Bucket="of-my-own")) == "AccessDenied"
    assert refused(s3("shop", "delete_bucket", Bucket="uploads")) == "AccessDenied"


def test_nobody_comes_in_without_a_key_or_with_a_wrong_one():
    put("shop", "uploads", "kept", "close")
    assert refused(get("", "uploads", "kept")) == "AccessDenied"
    assert refused(s3("", "list_objects_v2", Bucket="uploads")) == "AccessDenied"
    assert refused(put("", "uploads", "kept", "open")) == "AccessDenied"
    assert refused(s3("shop", "get_object", Bucket="uploads", Key="kept", secret=OWNER)) == "SignatureDoesNotMatch"
    assert refused(s3("stranger", "get_object", Bucket="uploads", Key="kept", secret=OWNER)) == "InvalidAccessKeyId"


def test_what_was_deleted_from_a_versioned_bucket_comes_back():
    put("backups", "backups", "dump", "first")
    put("backups", "backups", "dump", "overwritten")
    s3("backups", "delete_object", Bucket="backups", Key="dump")
    assert refused(get("backups", "backups", "dump")) == "NoSuchKey"
    found = s3("backups", "list_object_versions", Bucket="backups", Prefix="dump")["Versions"]
    told = {get("backups", "backups", "dump", VersionId=one["VersionId"]): one["VersionId"] for one in found}
    assert set(told) >= {"first", "overwritten"}
    # Who steals the client's key destroys no version; the owner can.
    erase = {"Bucket": "backups", "Key": "dump", "VersionId": told["first"]}
    assert refused(s3("backups", "delete_object", **erase)) == "AccessDenied"
    assert get("backups", "backups", "dump", VersionId=told["first"]) == "first"
    assert not refused(s3("slipway-owner", "delete_object", **erase))
    assert refused(get("backups", "backups", "dump", VersionId=told["first"])) in ("NoSuchVersion", "NoSuchKey")
    # A bucket without versions keeps none.
    put("shop", "uploads", "gone", "for good")
    s3("shop", "delete_object", Bucket="uploads", Key="gone")
    assert "Versions" not in s3("shop", "list_object_versions", Bucket="uploads", Prefix="gone")


def upload(key: str) -> None:
    """Has the client upload 20 MB slowly, until the server has a part of it."""
    to = s3("shop", "generate_presigned_url", "put_object", Params={"Bucket": "uploads", "Key": key}, ExpiresIn=600)
    client.check_output("head --bytes=20000000 /dev/urandom > /root/large")
    curl = f"curl --silent --fail --limit-rate 300k --upload-file /root/large '{to}'"
    client.check_output(f"systemd-run --quiet --collect --unit=upload {curl}")
    connections = "ss --tcp --info --no-header state established sport = :7070"
    assert until(lambda: any(int(size) > 1_000_000 for size in RECEIVED.findall(store.run(connections).stdout)), 120)


@pytest.mark.parametrize("before", [None, "what was there"])
def test_a_server_killed_in_the_middle_of_an_upload_leaves_no_half_of_it(before: str | None):
    key = f"large-{uuid.uuid4().hex}"
    if before:
        put("shop", "uploads", key, before)
    upload(key)
    killed = main_process()
    store.check_output(f"systemctl kill --signal=SIGKILL {UNIT}")
    assert until(lambda: main_process() not in (0, killed) and answers())
    assert until(
        lambda: client.run("systemctl is-active upload.service").stdout.strip() not in ("active", "deactivating")
    )
    if before:
        assert get("shop", "uploads", key) == before
    else:
        assert refused(get("shop", "uploads", key)) == "NoSuchKey" and key not in keys("shop", "uploads")
    assert store.check_output(f"find {DIRECTORY} -type f -size +100k") == "", "a part of the upload fills the disk"


def test_an_upload_in_parts_is_seen_when_it_is_whole_and_outlives_a_kill():
    key = f"parts-{uuid.uuid4().hex}"
    where = {"Bucket": "uploads", "Key": key}
    upload_id = s3("shop", "create_multipart_upload", **where)["UploadId"]
    part = s3("shop", "upload_part", **where, UploadId=upload_id, PartNumber=1, Body="part")["ETag"]
    store.check_output(f"systemctl kill --signal=SIGKILL {UNIT}")
    assert until(answers)
    assert key not in keys("shop", "uploads")
    parts = {"Parts": [{"ETag": part, "PartNumber": 1}]}
    assert not refused(s3("shop", "complete_multipart_upload", **where, UploadId=upload_id, MultipartUpload=parts))
    assert get("shop", "uploads", key) == "part"


def test_who_is_removed_is_refused_at_once_and_a_new_secret_counts_at_once():
    put("shop", "uploads", "kept", "close")
    before = main_process()
    others = [user for user in USERS if user["name"] != "reader"]
    closed = [bucket | {"read": []} for bucket in BUCKETS]
    new = "only-for-this-scenario-not-a-secret-5new"
    changed = [user | {"secret": new} if user["name"] == "shop" else user for user in others]
    foreseen = configure("--check", "--diff", object_store_users=changed, object_store_buckets=closed)
    assert foreseen.code == 0 and foreseen.changed > 0, foreseen.output
    assert get("reader", "uploads", "kept") == "close"
    run = configure("--diff", object_store_users=changed, object_store_buckets=closed)
    try:
        assert run.code == 0 and "opened uploads to shop alone" in run.said, run.output
        assert refused(get("reader", "uploads", "kept")) == "InvalidAccessKeyId"
        assert refused(get("shop", "uploads", "kept")) == "SignatureDoesNotMatch"
        assert s3("shop", "get_object", Bucket="uploads", Key="kept", secret=new)["Body"] == "close"
        assert main_process() == before, "nobody else is cut off"
        for output in (foreseen.output, run.output):
            assert not any(secret in output for secret in (OWNER, new, *SECRETS.values()))
    finally:
        run = configure()
    assert run.code == 0, run.output
    assert get("reader", "uploads", "kept") == "close"
    assert configure().changed == 0


def test_a_bucket_that_is_not_named_any_more_keeps_its_objects_for_the_owner():
    put("backups", "backups", "base", "rows")
    run = configure(object_store_buckets=[bucket for bucket in BUCKETS if bucket["name"] == "uploads"])
    try:
        assert run.code == 0, run.output
        assert refused(get("backups", "backups", "base")) == "AccessDenied"
        assert get("slipway-owner", "backups", "base") == "rows"
    finally:
        run = configure()
    assert run.code == 0 and get("backups", "backups", "base") == "rows", run.output


def verdicts(place: Path) -> dict[str, str]:
    """What health.yml finds of this role, by id and subject."""
    run = play("health", INVENTORY, "--limit", "objects1", health_report_dir=str(place), **LATE)
    assert (place / "health.json").exists(), run.output
    found = json.loads((place / "health.json").read_text())["hosts"]["objects1"]
    return {f"{one['id']} {one['subject']}": one["verdict"] for one in found if "object_store" in one["id"]}


KEPT = "data.object_store.kept objects1"


def test_health_warns_while_no_backup_has_the_objects(tmp_path: Path):
    assert verdicts(tmp_path)[KEPT] == "warn"
    plan = json.dumps({"plan": {"sources": [{"name": "objects", "paths": [DIRECTORY]}]}})
    store.check_output(f"mkdir -p /etc/slipway/backup && echo '{plan}' > /etc/slipway/backup/files.json")
    try:
        assert verdicts(tmp_path)[KEPT] == "pass"
    finally:
        store.check_output("rm /etc/slipway/backup/files.json")


def test_health_says_what_is_not_there(tmp_path: Path):
    well = verdicts(tmp_path)
    assert well.pop(KEPT) == "warn" and set(well.values()) == {"pass"} and len(well) == 4, well
    there, lost = f"{DIRECTORY}/buckets/uploads", f"{DIRECTORY}/lost"
    store.check_output(f"mv {there} {lost}")
    try:
        assert [name for name, verdict in verdicts(tmp_path).items() if verdict == "fail"] == [
            f"{BUCKET} uploads on objects1"
        ]
    finally:
        store.check_output(f"mv {lost} {there}")
    store.check_output(f"systemctl stop {UNIT}")
    try:
        ill = verdicts(tmp_path)
        del ill[KEPT]
        assert sorted(ill.values()) == ["fail", "fail", "fail", "pass"], ill
    finally:
        store.check_output(f"systemctl start {UNIT}")
    assert until(answers)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"object_store_secret_key": "short"}, "object_store_secret_key is 24 characters or more"),
        ({"object_store_users": [{"name": "shop", "secret": "short"}]}, "A secret in object_store_users is shorter"),
        ({"object_store_users": USERS[:1]}, "object_store_buckets names backups, reader, who is not in"),
        ({"object_store_address": "0.0.0.0"}, "is one address of the host, not all of them"),
        ({"object_store_download_checksum": ""}, "its sha256:<64 hexadecimal digits>"),
        ({"object_store_download_checksum": f"sha256:{'0' * 64}"}, "was expected: another release, a damaged download"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_stops(variables, words):
    before = main_process()
    run = configure(**variables)
    assert run.code != 0 and words in run.said, run.output
    assert "Traceback" not in run.output and not any(secret in run.output for secret in (OWNER, *SECRETS.values()))
    assert main_process() == before and answers()
