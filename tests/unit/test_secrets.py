"""What an inventory needs, what is made of that in encrypted files, and that neither is lost on the way."""

from __future__ import annotations

import datetime
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.slipway.ops.plugins.plugin_utils.secrets import files, register
from ansible_collections.slipway.ops.plugins.plugin_utils.secrets.files import Sealed, SecretsError, Vault, with_values
from ansible_collections.slipway.ops.plugins.plugin_utils.secrets.needs import needs, read_kinds
from ansible_collections.slipway.ops.plugins.plugin_utils.secrets.plan import Wishes, file_for_new, plan

KINDS = read_kinds()
OPTIONS = {"app_services", "postgresql_users", "pgbackrest_repositories", "haproxy_pools"}
APP = {
    "app_services": [
        {"name": "shop", "secrets": {"password": "{{ vault_shop }}", "token": "{{ my_token }}", "old": "vault_text"}}
    ],
    "my_token": "{{ vault_token | trim }}",
    "my_loop": "{{ my_loop }}",
    "haproxy_pools": "{{ app_services | slipway.ops.pools }}",
    "spare": "{{ vault_spare | default('') }}{{ 'vault_quoted' }}{{ other.vault_attribute }}",
}
DB = {"postgresql_users": [{"name": "shop", "password": "{{ vault_shop }}"}], "vault_shop": "there"}


def vault(password: str = "first") -> Vault:
    return Vault(VaultLib([("default", VaultSecret(password.encode()))]))


def sealed(path: Path, text: str, cipher: Vault | None = None) -> Sealed:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((cipher or vault()).seal(path, text, None))
    return Sealed(path, cipher or vault(), path.read_bytes(), text)


def read(path: Path) -> dict[str, str]:
    return dict(yaml.safe_load(vault().open(path, path.read_bytes())))


# --- what is needed


def test_what_templates_name_is_needed_where_they_are_and_goes_where_they_stand() -> None:
    found = needs({"app1": APP, "db1": DB}, {}, KINDS, OPTIONS)
    assert found["vault_shop"].used == {"app_services[].secrets.password", "postgresql_users[].password"}
    assert (found["vault_shop"].hosts, found["vault_shop"].without) == ({"app1", "db1"}, {"app1"})
    assert found["vault_token"].used == {"app_services[].secrets.token", "my_token"}
    assert not found["vault_spare"].hosts
    assert set(found) == {"vault_shop", "vault_token", "vault_spare"}


def test_a_role_that_cannot_do_without_has_its_secret_made() -> None:
    groups = {"redis": ["cache1", "cache2"]}
    found = needs({"cache1": {"redis_password": "{{ vault_r }}"}, "cache2": {"redis_key": "k"}}, groups, KINDS, OPTIONS)
    assert found["redis_key"].without == {"cache1"} and found["redis_key"].kind(KINDS).kind == "age"
    assert found["redis_password"].without == {"cache2"}


@pytest.mark.parametrize(
    ("variables", "kind", "fixed"),
    [
        ({"pgbackrest_repositories": [{"cipher_pass": "{{ vault_x }}"}]}, "key", True),
        ({"pgbackrest_repositories": [{"s3_key_secret": "{{ vault_x }}"}]}, "given", False),
        ({"own": "{{ vault_x }}", "pgbackrest_repositories": [{"cipher_pass": "{{ own }}"}]}, "key", True),
        ({"docker_logins": [{"password": "{{ vault_x }}"}]}, "given", False),
        (
            {"docker_logins": [{"password": "{{ vault_x }}"}], "registry_users": [{"password": "{{ vault_x }}"}]},
            "password",
            False,
        ),
        ({"ansible_become_password": "{{ vault_x }}"}, "given", False),
        ({"mongodump_uri": "mongodb://a:{{ vault_x }}@b"}, "given", False),
        ({"restic_password": "{{ vault_x }}"}, "key", True),
        ({"anything": "{{ vault_x }}"}, "password", False),
    ],
)
def test_a_place_says_what_a_value_is(variables: dict[str, object], kind: str, fixed: bool) -> None:
    found = needs({"one": variables}, {}, KINDS, {"pgbackrest_repositories"})["vault_x"].kind(KINDS)
    assert (found.kind, bool(found.fixed)) == (kind, fixed)


def test_what_comes_from_others_is_never_made() -> None:
    found = needs({"one": {"anything": "{{ vault_x }}"}}, {}, KINDS)["vault_x"]
    assert found.kind(KINDS, ["vault_x"]).kind == "given"


# --- what is done about it


def test_a_file_for_secrets_may_be_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = str(tmp_path / "inventory/group_vars/new.yml")
    found = file_for_new(Path("inventory"), named, [], vault())
    assert found is not None and str(found.path) == named


def test_what_is_missing_goes_to_the_only_file_and_of_several_one_is_named(tmp_path: Path) -> None:
    needed = needs({"app1": APP, "db1": {}}, {}, KINDS, OPTIONS)
    first = sealed(tmp_path / "group_vars/all/vault.yml", "vault_token: a\n")
    needed["vault_token"].without.clear()
    found = plan(needed, [first], file_for_new(tmp_path, None, [first], vault()), Wishes(KINDS))
    assert (found.made, found.files["vault_shop"]) == (["vault_shop"], first)
    second = sealed(tmp_path / "group_vars/app/vault.yml", "other: a\n")
    with pytest.raises(SecretsError, match=r"vault_shop can go to one of .*-e secrets_file="):
        plan(needed, [first, second], file_for_new(tmp_path, None, [first, second], vault()), Wishes(KINDS))
    named = file_for_new(tmp_path, "group_vars/app/vault.yml", [first, second], vault())
    assert plan(needed, [first, second], named, Wishes(KINDS)).files["vault_shop"] == second


def test_nothing_goes_where_it_would_be_read_by_anybody(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text("a: 1\n")
    with pytest.raises(SecretsError, match="is not encrypted, so no secret is put there"):
        file_for_new(tmp_path, "group_vars/all.yml", [], vault())
    outside = ("/nowhere/group_vars/vault.yml", "group_vars/../../group_vars/vault.yml", "../group_vars/vault.yml")
    for elsewhere in ("vault.yml", "group_vars/all/vault.ini", *outside):
        with pytest.raises(SecretsError, match=r"is a file such as group_vars/all/vault\.yml"):
            file_for_new(tmp_path, elsewhere, [], vault())
    (tmp_path / "group_vars/a.sops.yml").write_text("a: 1\n")
    with pytest.raises(SecretsError, match="is not encrypted, though its name says so"):
        files.discover([tmp_path], vault())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vault_nosuch", "vault_nosuch is in no encrypted file of this inventory; there are vault_key, vault_s3"),
        ("vault_key", "vault_key is not rotated: what is in the repository can only be read with it"),
        ("vault_s3", "vault_s3 comes from others. Get another value from them"),
    ],
)
def test_what_must_not_be_rotated_is_not(tmp_path: Path, name: str, said: str) -> None:
    variables = {"pgbackrest_repositories": [{"cipher_pass": "{{ vault_key }}", "s3_key": "{{ vault_s3 }}"}]}
    needed = needs({"db1": variables | {"vault_key": "", "vault_s3": ""}}, {}, KINDS, OPTIONS)
    file = sealed(tmp_path / "group_vars/all/vault.yml", "vault_key: a\nvault_s3: b\n")
    with pytest.raises(SecretsError, match=said):
        plan(needed, [file], file, Wishes(KINDS, rotate=[name]))


def test_a_second_value_of_a_secret_that_others_have_is_not_made(tmp_path: Path) -> None:
    file = sealed(tmp_path / "group_vars/postgresql/vault.yml", "vault_shop: a\n")
    with pytest.raises(SecretsError, match="which app1 cannot read, and they need it"):
        plan(needs({"app1": APP, "db1": DB}, {}, KINDS, OPTIONS), [file], file, Wishes(KINDS))


# --- files


@pytest.mark.parametrize(
    "text",
    [
        "---\n# why\na: old  # mine\nb: !unsafe 'x'\n",
        "a: |\n  old\n  lines\nb: !unsafe 'x'\n",
        "b: !unsafe 'x'\na: >-\n  old",
        'b: !unsafe "x"\n"a": "old"',
        "b: {deep: [1, 2]}\n",
        "",
    ],
)
def test_one_value_changes_and_all_else_stays_as_it_was(text: str) -> None:
    changed = with_values(Path("v.yml"), text, {"a": 'new "€" \\', "c": "added"})
    node = yaml.compose(changed, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    found = {key.value: value.value for key, value in node.value}
    assert (found["a"], found["c"]) == ('new "€" \\', "added")
    for kept in ("# why", "# mine", "b: !unsafe 'x'", "b: {deep: [1, 2]}"):
        assert (kept in changed) == (kept in text)


@pytest.mark.parametrize("text", ["a: [hunter2", "- hunter2\n", "a: [hunter2]\n", "a: &x hunter2\nb: *x\n"])
def test_what_cannot_be_changed_is_left_and_not_shown(text: str) -> None:
    with pytest.raises(SecretsError) as refused:
        with_values(Path("v.yml"), text, {"a": "new"})
    assert "hunter2" not in str(refused.value)


def test_a_file_keeps_its_label_its_password_and_its_mode(tmp_path: Path) -> None:
    library = VaultLib([("dev", VaultSecret(b"one")), ("prod", VaultSecret(b"two"))])
    path = tmp_path / "vault.yml"
    path.write_bytes(library.encrypt("a: old\n", secret=library.secrets[1][1], vault_id="prod"))
    path.chmod(0o640)
    file = Sealed(path, Vault(library), path.read_bytes(), "a: old\n")
    file.write({"a": "new"})
    assert path.read_bytes().startswith(b"$ANSIBLE_VAULT;1.2;AES256;prod\n") and path.stat().st_mode & 0o777 == 0o640
    assert VaultLib([("x", VaultSecret(b"two"))]).decrypt(path.read_bytes()) == b'a: "new"\n'


def test_another_vault_password_opens_nothing_and_writes_nothing(tmp_path: Path) -> None:
    file = sealed(tmp_path / "group_vars/all/vault.yml", "a: old\n")
    before = file.path.read_bytes()
    with pytest.raises(SecretsError, match="cannot be opened with the vault password of this run"):
        files.discover([tmp_path], vault("second"))
    with pytest.raises(SecretsError, match="this run has no vault password"):
        Vault(VaultLib()).seal(tmp_path / "new.yml", "a: b\n", None)
    assert file.path.read_bytes() == before


def test_somebody_elses_change_meanwhile_is_not_lost(tmp_path: Path) -> None:
    file = sealed(tmp_path / "vault.yml", "a: old\n")
    theirs = vault().seal(file.path, "a: theirs\n", None)
    file.path.write_bytes(theirs)
    with pytest.raises(SecretsError, match="was changed by somebody else"):
        file.write({"a": "new"})
    assert file.path.read_bytes() == theirs


def test_two_at_once_are_one_and_a_refusal(tmp_path: Path) -> None:
    with files.alone(tmp_path), pytest.raises(SecretsError, match="Another run"), files.alone(tmp_path):
        pass
    with files.alone(tmp_path):
        pass


def killed(work: Callable[[], None], call: str, number: int) -> bool:
    """Whether a process doing this work was killed at the n-th call of a function of `os`."""
    child = os.fork()
    if not child:
        genuine, seen = getattr(os, call), [0]

        def deadly(*arguments: object, **options: object) -> object:
            seen[0] += 1
            if seen[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return genuine(*arguments, **options)

        setattr(os, call, deadly)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(("call", "number"), [("open", 1), ("fchmod", 1), ("fsync", 1), ("replace", 1), ("fsync", 2)])
def test_killed_anywhere_the_file_is_the_old_or_the_new_one(tmp_path: Path, call: str, number: int) -> None:
    file = sealed(tmp_path / "vault.yml", "a: old\nb: kept\n")
    assert killed(lambda: file.write({"a": "new"}), call, number)
    found = read(file.path)
    assert found in ({"a": "old", "b": "kept"}, {"a": "new", "b": "kept"})
    assert not [left for left in tmp_path.iterdir() if b"kept" in left.read_bytes()]  # what is left of it is encrypted
    again = Sealed(file.path, vault(), file.path.read_bytes(), vault().open(file.path, file.path.read_bytes()))
    again.write({"a": "again"})
    assert read(file.path)["a"] == "again" and [path.name for path in tmp_path.iterdir()] == ["vault.yml"]


def test_an_editor_s_swap_file_is_not_ours_to_remove(tmp_path: Path) -> None:
    for name in (".vault.yml.swp", ".vault.yml.swo", ".vault.yml.ab12_cd9"):
        (tmp_path / name).write_text("unsaved")
    files.put(tmp_path / "vault.yml", b"a: 1\n", 0o600)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".vault.yml.swo", ".vault.yml.swp", "vault.yml"]


# --- the register


def test_ages_are_held_against_limits_and_what_nobody_knows_is_no_pass() -> None:
    today = datetime.datetime.now(datetime.timezone.utc).date()
    ago = {days: (today - datetime.timedelta(days)).isoformat() for days in (-1, 10, 11, 400)}
    known = {
        "fresh": {"created": ago[400], "rotated": ago[10]},
        "late": {"created": ago[11], "owner": "Jiwoo"},
        "own": {"rotated": ago[11], "max_age": "11d"},
        "key": {"created": ago[400], "max_age": "never"},
        "old": {"created": "unknown", "rotated": "unknown"},
        "tomorrow": {"rotated": ago[-1]},
    }
    found = {one.subject: one for one in register.results(known, "10d")}
    assert {name: one.verdict for name, one in found.items()} == {
        "fresh": "pass",
        "late": "fail",
        "own": "pass",
        "old": "unknown",
        "tomorrow": "unknown",
    }
    assert "It is 11 days old. Owner: Jiwoo." in str(found["late"].reason)
    assert (found["late"].measured, found["late"].limit, found["late"].unit) == (11, "<= 10", "d")
    with pytest.raises(SecretsError, match="fresh is no duration"):
        register.results(known, "soon")


def test_what_people_wrote_into_the_register_stays() -> None:
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    known = {"owner": "root@here", "file": "b.yml", "used": ["c"]}
    former = {"created": "2020-01-01", "rotated": "2020-01-01", "owner": "Jiwoo", "file": "a.yml", "max_age": "90d"}
    assert register.entry(former, known) == former | {"file": "b.yml", "used": ["c"]}
    assert register.entry(former, known, "rotated")["rotated"] == today
    assert register.entry(None, known)["created"] == "unknown"
    assert register.entry(None, known, "created") == known | {"created": today, "rotated": today}


def test_a_register_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text("secrets_register: [a]\n")
    with pytest.raises(SecretsError, match=r"is not as secrets\.yml writes it"):
        register.read(tmp_path / "r.yml")
