"""What modules leave in a host's journal, and so on the log host: nothing of a service's environment."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.slipway.ops.plugins.modules import mongodb_objects, release, swarm_release

SECRET = "kiwi-and-plum"
FILES = {"shop-1.env": f"TOKEN={SECRET}\n", "release.json": {"version": "2.0.0"}}
# A password as Python writes it has other characters in it than the password.
QUOTED = f"\"'{SECRET}\\"
USERS = [{"name": "shop", "password": QUOTED}]
SEEDS = [{"collection": "shop.users", "documents": [{"_id": "root", "hash": SECRET}]}]
SPEC = {"TaskTemplate": {"ContainerSpec": {"Env": [f"TOKEN={SECRET}"]}}}


@pytest.mark.parametrize(
    ("module", "given"),
    [
        (release, {"service": "shop", "state": "stopped", "colour": "blue", "files": FILES}),
        (swarm_release, {"service": "shop", "state": "cleared", "services": [{"name": "shop", "spec": SPEC}]}),
        (mongodb_objects, {"uri": "mongodb://db1", "users": USERS}),
        (mongodb_objects, {"uri": "mongodb://db1", "seeds": SEEDS}),
    ],
)
def test_the_journal_has_no_environment(
    module: ModuleType, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(AnsibleModule, "_log_to_syslog", lambda _, message: logged.append(message))
    monkeypatch.setattr("ansible.module_utils.basic.has_journal", False)

    def nothing_is_done(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(release, "Host", nothing_is_done)
    monkeypatch.setattr(swarm_release.release, "clear", nothing_is_done)
    monkeypatch.setattr(mongodb_objects, "wanted", nothing_is_done)
    with patch_module_args(given), pytest.raises(SystemExit):
        module.main()
    assert SECRET not in "".join(logged)


def test_a_verbose_run_has_neither_passwords_nor_first_documents(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(AnsibleModule, "_log_to_syslog", lambda *_: None)
    monkeypatch.setattr("ansible.module_utils.basic.has_journal", False)
    monkeypatch.setattr(mongodb_objects, "apply", lambda *_: ["made user shop of admin: readWrite on shop"])
    with patch_module_args({"uri": "mongodb://db1", "users": USERS, "seeds": SEEDS}), pytest.raises(SystemExit):
        mongodb_objects.main()
    answer = capsys.readouterr().out
    assert SECRET not in answer
    assert json.loads(answer)["actions"] == ["made user shop of admin: readWrite on shop"]
