# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Patroni's configuration from the inventory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, byte_size
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError, settings


def patroni_dynamic(
    values: Mapping[str, Any],
    preset: str = "normal",
    synchronous: str = "off",
    maximum_lag: str | int = "1MiB",
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """See patroni_dynamic.yml."""
    try:
        settings.preset_named(preset)
        shared = settings.dynamic(preset, synchronous, byte_size(maximum_lag), values, overrides or {})
    except (PatroniError, PostgresqlError, UnitError) as error:
        raise AnsibleFilterError(f"patroni_dynamic: {error}") from error
    found = settings.problems(shared)
    if found:
        raise AnsibleFilterError("; ".join(found))
    return shared


def patroni_local(values: Mapping[str, Any]) -> dict[str, Any]:
    """See patroni_local.yml."""
    try:
        return settings.local(values)
    except PostgresqlError as error:
        raise AnsibleFilterError(f"patroni_local: {error}") from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"patroni_dynamic": patroni_dynamic, "patroni_local": patroni_local}
