"""Apt is asked only for what a reading of the same run does not show, and never less than that."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.action import packages as action
from ansible_collections.slipway.ops.plugins.module_utils.host.packages import installed

STATUS = """\
Package: nginx
Status: install ok installed
Version: 1.26.3-3
Description: a server
 Package: not-one
 Status: install ok installed

Package: postgresql-17
Status: hold ok installed

Package: chrony
Status: deinstall ok config-files

Package: libc6
Status: install ok half-configured
"""


def test_installed_is_what_dpkg_has_unpacked_and_configured() -> None:
    assert installed(STATUS) == ["nginx", "postgresql-17"]
    assert installed("") == []


def asked(seen: dict[str, Any] | None, delegated: str | None = None, **options: Any) -> dict[str, Any] | None:
    """What apt was asked, None when it was not."""
    calls: list[dict[str, Any]] = []

    def apt(_name: str, arguments: dict[str, Any], task_vars: object) -> dict[str, Any]:
        calls.append(arguments)
        return {"changed": True}

    module = action.ActionModule.__new__(action.ActionModule)
    module._task = SimpleNamespace(args=options, delegate_to=delegated)
    module._execute_module = apt
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(action.ActionBase, "run", lambda *_: {})
        result = module.run(None, {} if seen is None else {"__baseline_seen": seen})
    assert result["changed"] is bool(calls)
    return calls[0] if calls else None


@pytest.mark.parametrize(
    ("seen", "options"),
    [
        (None, {"name": ["nginx"]}),
        ({"skipped": True}, {"name": ["nginx"]}),
        ({"packages": ["nginx"]}, {"name": ["nginx", "chrony"]}),
        ({"packages": ["nginx"]}, {"name": ["nginx=1.26.3-3"]}),
        ({"packages": ["nginx"]}, {"name": ["nginx"], "new_sources": True}),
        ({"packages": ["nginx"]}, {"name": ["nginx"], "delegated": "another"}),
    ],
)
def test_apt_is_asked_where_the_reading_does_not_show_all(seen: dict[str, Any] | None, options: dict[str, Any]) -> None:
    call = asked(seen, **options)
    assert call is not None and call["name"] == options["name"]
    assert call["cache_valid_time"] == (0 if options.get("new_sources") else 86400)
    assert call["install_recommends"] is False and "policy_rc_d" not in call


def test_apt_is_not_asked_for_what_is_there() -> None:
    assert asked({"packages": ["chrony", "nginx"]}, name=["nginx", "chrony"]) is None


def test_what_an_old_index_does_not_have_is_asked_for_with_a_new_one() -> None:
    """A run that was killed after it added a source leaves an index without that source's packages."""
    calls: list[dict[str, Any]] = []

    def apt(_name: str, arguments: dict[str, Any], task_vars: object) -> dict[str, Any]:
        calls.append(arguments)
        return {"failed": True, "msg": f"refused {len(calls)}"} if arguments["cache_valid_time"] else {"changed": True}

    def run(**options: Any) -> dict[str, Any]:
        module = action.ActionModule.__new__(action.ActionModule)
        module._task, module._execute_module = SimpleNamespace(args=options, delegate_to=None), apt
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(action.ActionBase, "run", lambda *_: {})
            return dict(module.run(None, {}))

    assert run(name=["docker-ce"]) == {"changed": True}
    assert [call["cache_valid_time"] for call in calls] == [86400, 0]


def test_what_must_not_be_started_yet_is_not() -> None:
    call = asked({"packages": []}, name=["haproxy"], start=False)
    assert call is not None and call["policy_rc_d"] == 101
