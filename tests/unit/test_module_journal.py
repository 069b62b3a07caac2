"""What modules leave in a host's journal, and so on the log host: nothing of a service's environment."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.slipway.ops.plugins.modules import release, swarm_release

SECRET = "kiwi-and-plum"
FILES = {"shop-1.env": f"TOKEN={SECRET}\n", "release.json": {"version": "2.0.0"}}
SPEC = {"TaskTemplate": {"ContainerSpec": {"Env": [f"TOKEN={SECRET}"]}}}


@pytest.mark.parametrize(
    ("module", "given"),
    [
        (release, {"service": "shop", "state": "stopped", "colour": "blue", "files": FILES}),
        (swarm_release, {"service": "shop", "state": "cleared", "services": [{"name": "shop", "spec": SPEC}]}),
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
    with patch_module_args(given), pytest.raises(SystemExit):
        module.main()
    assert SECRET not in "".join(logged)
