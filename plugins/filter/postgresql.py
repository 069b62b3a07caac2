# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL's settings and access rules for templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, byte_size
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import (
    PostgresqlError,
    access,
    model,
    settings,
)


def postgresql_settings(
    host: Mapping[str, int],
    overrides: Mapping[str, Any] | None = None,
    version: int = 17,
    storage: str = "ssd",
    memory: str | int = "",
) -> dict[str, Any]:
    """See postgresql_settings.yml."""
    try:
        available = byte_size(memory) if memory else host["memory"]
        given = overrides or {}
        connections = given.get("max_connections", settings.MAX_CONNECTIONS)
        derived = settings.derive(available, host["cores"], host["disk"], storage, connections)
        return settings.combine(derived, settings.production(version), given)
    except (PostgresqlError, UnitError) as error:
        raise AnsibleFilterError(f"postgresql_settings: {error}") from error


def postgresql_conf(values: Mapping[str, Any]) -> str:
    """See postgresql_conf.yml."""
    try:
        return settings.render(values)
    except PostgresqlError as error:
        raise AnsibleFilterError(f"postgresql_conf: {error}") from error


def postgresql_hba(rules: Sequence[Mapping[str, Any]]) -> list[str]:
    """See postgresql_hba.yml."""
    try:
        return access.lines(rules)
    except PostgresqlError as error:
        raise AnsibleFilterError(f"postgresql_hba: {error}") from error


def postgresql_problems(wanted: Mapping[str, Any]) -> list[str]:
    """See postgresql_problems.yml."""
    problems: list[str] = []
    for what, check in (
        ("postgresql_access", lambda: access.lines(wanted.get("access") or [])),
        ("postgresql_users and postgresql_databases", lambda: model.read(*_objects(wanted))),
        ("postgresql_settings", lambda: settings.check_overrides(wanted.get("settings") or {})),
        ("postgresql_memory", lambda: byte_size(wanted["memory"]) if wanted.get("memory") else 0),
    ):
        try:
            check()
        except (PostgresqlError, UnitError, ValueError) as error:
            problems += [f"{what}: {sentence}" for sentence in str(error).splitlines()]
    return problems


def _objects(wanted: Mapping[str, Any]) -> tuple[Any, Any]:
    return wanted.get("users") or [], wanted.get("databases") or []


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "postgresql_settings": postgresql_settings,
            "postgresql_conf": postgresql_conf,
            "postgresql_hba": postgresql_hba,
            "postgresql_problems": postgresql_problems,
        }
