"""Secrets are made in two kinds of encrypted files, rotated under load, and seen by nobody. In this order."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from containers import have_sample, shell
from playbook import ROOT, Run, module, play

SCENARIO = Path(__file__).resolve().parents[1]
TOOLS = {
    "sops": "github.com/getsops/sops/v3/cmd/sops@v3.10.2",
    "age-keygen": "filippo.io/age/cmd/age-keygen@v1.2.1",
}
APP, DB = "slipway-secrets-app1", "slipway-secrets-db1"
GIVEN = "given-by-somebody-else-7Qx2mV"
VAULT, SOPS = "group_vars/all/vault.yml", "group_vars/all/shop.sops.yml"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with the scenario's inventory, a vault password, an age key, and one secret that SOPS keeps."""
    tools = ROOT / ".cache/secrets-tools"
    for program, source in TOOLS.items():
        if not (tools / program).exists():
            assert shutil.which("go"), "Go (1.24 or newer) is missing here; it builds this scenario's sops"
            build = os.environ | {"GOBIN": str(tools), "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
            subprocess.run(["go", "install", source], env=build, check=True)
    place = tmp_path_factory.mktemp("project")
    shutil.copy(SCENARIO / "inventory.yml", place / "hosts.yml")
    shutil.copy(SCENARIO / "converge.yml", place / "converge.yml")
    (place / ".vault-password").write_text("opens-the-vault-of-this-scenario\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tools), prepend=os.pathsep)
        patch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(place / ".vault-password"))
        patch.setenv("ANSIBLE_VARS_ENABLED", "host_group_vars,community.sops.sops")
        patch.setenv("SOPS_AGE_KEY_FILE", str(place / "age.txt"))
        made = subprocess.run(
            ["age-keygen", "-o", str(place / "age.txt")], check=True, capture_output=True, text=True
        ).stderr
        rules = {"creation_rules": [{"age": made.split(":")[1].strip()}]}
        (place / ".sops.yaml").write_text(yaml.safe_dump(rules))
        (place / SOPS).parent.mkdir(parents=True)
        (place / SOPS).write_text(f"# of the payment service\nvault_given: {GIVEN}\n")
        subprocess.run(["sops", "encrypt", "--in-place", SOPS], check=True, cwd=place)
        yield place


def secrets(project: Path, *options: str, **variables: Any) -> Run:
    return play("secrets", project / "hosts.yml", *options, **variables)


def values(project: Path) -> dict[str, str]:
    """What the encrypted files hold, by the tools of those who made the formats."""
    opened = [["ansible-vault", "view", str(project / VAULT)], ["sops", "decrypt", str(project / SOPS)]]
    found: dict[str, str] = {}
    for argv in opened:
        if Path(argv[-1]).exists():
            told = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout
            found |= yaml.safe_load(told)
    return found


def carry_out(project: Path, **variables: Any) -> None:
    done = play(project / "converge.yml", project / "hosts.yml", **variables)
    assert done.code == 0, done.output


def release(project: Path, **variables: Any) -> None:
    done = play("deploy", project / "hosts.yml", service="sample", version="1.0.0", deploy_force=True, **variables)
    assert done.code == 0, done.output


def asked(token: str) -> str:
    """The status with which the service answers a client that has the token; it comes by standard input."""
    curl = "curl -sS -o /dev/null -w '%{http_code}' -H @- http://127.0.0.1:18000/api/users"
    done = subprocess.run(
        ["docker", "exec", "-i", APP, "sh", "-c", curl],
        input=f"Authorization: Bearer {token}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def logs_in(user: str, password: str) -> bool:
    """Whether the database lets in whoever has this password, from another host."""
    done = subprocess.run(
        [
            "docker",
            "exec",
            "-i",
            DB,
            "sh",
            "-c",
            f"PGPASSWORD=$(cat) psql -XAtc 'SELECT 1' 'host=db1 user={user} dbname=shop'",
        ],
        input=password,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or "password authentication failed" in done.stderr, done.stderr
    return done.returncode == 0


@contextlib.contextmanager
def users(project: Path) -> Iterator[dict[str, Any]]:
    """Clients that read, and write into the database; afterwards, what they felt."""
    where = {"url": "http://127.0.0.1:18000/version", "post_url": "http://127.0.0.1:18000/items"}
    started = {"name": "users", "state": "started", "replace": True, "max_duration": 1200}
    module(project / "hosts.yml", "app1", "slipway.ops.traffic", **started, **where)
    seen: dict[str, Any] = {}
    yield seen
    stopped = module(project / "hosts.yml", "app1", "slipway.ops.traffic", name="users", state="stopped")
    seen |= stopped["app1"]["traffic"]["total"]


@contextlib.contextmanager
def arguments_of_sops(project: Path) -> Iterator[Path]:
    """Where each call of sops leaves what others on this machine could have seen of it: its command line."""
    heard, first = project / "heard", project / "first"
    first.mkdir()
    (first / "sops").write_text(f'#!/bin/sh\necho "$@" >> {heard}\nexec {shutil.which("sops")} "$@"\n')
    (first / "sops").chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(first), prepend=os.pathsep)
        yield heard


def any_in(content: bytes, known: list[str]) -> bool:
    return any(str(value).encode() in content for value in known)


def no_value(run: Run, *known: dict[str, str]) -> None:
    told = run.output
    assert not [name for found in known for name, value in found.items() if str(value) in told]


def test_check_mode_names_what_would_be_made_and_makes_nothing(project: Path) -> None:
    run = secrets(project, "--check", "--diff", secrets_file=VAULT)
    assert run.code == 0, run.output
    assert "vault_shop_a: would be made in" in run.said and "+ vault_shop_a:" in run.said
    assert not (project / VAULT).exists() and set(values(project)) == {"vault_given"}


def test_what_is_missing_is_made_where_it_is_wanted_and_a_second_run_makes_nothing(project: Path) -> None:
    with arguments_of_sops(project) as heard:
        run = secrets(project, "-vvv", "--diff", secrets_file=VAULT)
        moved = secrets(project, "-vvv", "--diff", rotate="vault_given,vault_api_token")
    assert run.code == 0 and moved.code == 0, run.output + moved.output
    found = values(project)
    made = ("vault_api_token", "vault_shop_a", "vault_shop_b")
    assert {name: len(value) for name, value in found.items()} == dict.fromkeys([*made, "vault_given"], 32)
    no_value(run, found, {"given": GIVEN})
    no_value(moved, found, {"given": GIVEN})
    told = heard.read_text()
    assert "decrypt" in told and "encrypt" in told  # it did listen
    plain = [
        path for path in project.rglob("*") if path.is_file() and any_in(path.read_bytes(), [GIVEN, *found.values()])
    ]
    assert not plain and not any_in(told.encode(), [GIVEN, *found.values()])
    assert (project / VAULT).stat().st_mode & 0o777 == 0o600
    again = secrets(project)
    assert again.code == 0 and again.changed == 0 and values(project) == found, again.output


def test_both_kinds_of_files_are_written_by_who_can_open_them_alone(project: Path) -> None:
    before = {name: (project / name).read_bytes() for name in (VAULT, SOPS)}
    with pytest.MonkeyPatch.context() as patch:
        (project / "wrong").write_text("another\n")
        patch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(project / "wrong"))
        run = secrets(project, rotate="vault_shop_b")
    assert run.code != 0 and "Traceback" not in run.output
    assert "Decryption failed" in run.said or "vault password" in run.said
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOPS_AGE_KEY_FILE", "/dev/null")
        run = secrets(project, rotate="vault_given")
    assert run.code != 0 and "Traceback" not in run.output and GIVEN not in run.output
    assert {name: (project / name).read_bytes() for name in (VAULT, SOPS)} == before
    # Who can has rotated it before: its comment and its recipient are as they were.
    told = subprocess.run(["sops", "decrypt", str(project / SOPS)], check=True, capture_output=True, text=True).stdout
    assert told.startswith("# of the payment service\n") and GIVEN not in told
    assert (project / SOPS).read_bytes().count(b"recipient: age1") == 1


def test_a_run_that_is_killed_loses_nothing(project: Path) -> None:
    for _ in range(3):
        before = values(project)
        run = Run("secrets", project / "hosts.yml", rotate="vault_shop_a,vault_given")
        assert run.until("PLAY [Secrets]"), run.output
        run.kill()
        after = values(project)
        assert set(after) == set(before) and all(after.values())
        assert {name for name in after if after[name] != before[name]} <= {"vault_shop_a", "vault_given"}
    assert secrets(project).code == 0


def test_secrets_are_rotated_while_users_are_served_and_the_old_values_are_refused(project: Path) -> None:
    carry_out(project)
    have_sample([APP], ("1.0.0",))
    release(project)
    old = values(project)
    assert asked(old["vault_api_token"]) == "200" and logs_in("shop_a", old["vault_shop_a"])
    with users(project) as felt:
        # The database's user whom nobody is, and the token; then the service becomes that user, and the other follows.
        assert secrets(project, rotate="vault_api_token,vault_shop_b").code == 0
        carry_out(project, shop_user="shop_b")
        release(project, shop_user="shop_b")
        assert secrets(project, rotate="vault_shop_a").code == 0
        carry_out(project, shop_user="shop_b")
    new = values(project)
    assert felt["requests"] > 100 and felt["failed"] == 0, felt
    for name in ("vault_api_token", "vault_shop_a", "vault_shop_b"):
        assert new[name] != old[name]
    assert (asked(new["vault_api_token"]), asked(old["vault_api_token"])) == ("200", "401")
    for user in ("shop_a", "shop_b"):
        assert logs_in(user, new[f"vault_{user}"]) and not logs_in(user, old[f"vault_{user}"])


def test_what_is_too_old_is_evidence(project: Path) -> None:
    place = project / "group_vars/all/secrets_register.yml"
    register = yaml.safe_load(place.read_text())
    assert register["secrets_register"]["vault_api_token"]["used"] == ["app_services[].secrets.api_token"]
    assert not [value for value in values(project).values() if value in place.read_text()]
    register["secrets_register"]["vault_shop_a"] |= {"rotated": "2020-01-01", "owner": "Jiwoo"}
    place.write_text(yaml.safe_dump(register))
    run = secrets(project)
    assert run.code == 0 and "vault_shop_a: It is" in run.said and "Owner: Jiwoo" in run.said, run.output
    lines = shell(DB, "cat /var/lib/slipway/evidence/records/*.jsonl").splitlines()
    newest = {one["subject"]: one for one in map(json.loads, lines) if one["id"] == "security.secrets.age"}
    assert newest["vault_shop_a"]["verdict"] == "fail" and newest["vault_shop_b"]["verdict"] == "pass"
    readiness = play("readiness", project / "hosts.yml", readiness_report_dir=str(project / "reports"))
    assert readiness.code != 0 and "Secrets are changed in time" in readiness.said, readiness.output
