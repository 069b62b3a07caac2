# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Patroni's configuration: what all members share (dynamic, in etcd), and what is one member's own (a file).

The role's README shows how the presets follow from the wanted recovery time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.settings import quote

Settings = dict[str, Any]

# From the end of the lease to the first accepted write: a silent member is asked for 2 s, a server promotes in about 2,
# HAProxy looks every second.
ELECTION = 6
# Patroni hands these to the server itself, the same on all members, or a replica could not follow.
SHARED = (
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_wal_senders",
    "max_worker_processes",
    "track_commit_timestamp",
    "wal_keep_size",
    "wal_level",
)
# Patroni decides these by itself, from what else it is told.
_PATRONIS = (
    "cluster_name",
    "hba_file",
    "hot_standby",
    "ident_file",
    "listen_addresses",
    "port",
    "primary_conninfo",
    "primary_slot_name",
    "recovery_target_timeline",
    "synchronous_standby_names",
    "wal_log_hints",
)
_SYNCHRONOUS: dict[str, Settings] = {
    "off": {"synchronous_mode": False, "synchronous_mode_strict": False},
    "on": {"synchronous_mode": True, "synchronous_mode_strict": False},
    "strict": {"synchronous_mode": True, "synchronous_mode_strict": True},
    "quorum": {"synchronous_mode": "quorum", "synchronous_mode_strict": False},
}


@dataclass(frozen=True)
class Preset:
    """Seconds. A leader that falls silent loses its lease after ``ttl``; Patroni wants ttl >= loop_wait + 2 retries."""

    recovery: int
    ttl: int
    loop_wait: int
    retry_timeout: int

    @property
    def start_timeout(self) -> int:
        """How long a server that crashed may take to come back where it is: as long as losing the lease would take."""
        return self.ttl - 2 * self.loop_wait

    @property
    def worst(self) -> int:
        """The longest time without a leader when the host of one is lost; etcd may have to elect one too (2 s)."""
        return self.ttl + 2 + ELECTION


PRESETS = {
    "fast": Preset(recovery=30, ttl=20, loop_wait=5, retry_timeout=5),
    "normal": Preset(recovery=45, ttl=30, loop_wait=10, retry_timeout=10),
    "safe": Preset(recovery=90, ttl=60, loop_wait=10, retry_timeout=20),
}


def dynamic(
    preset: str, synchronous: str, maximum_lag: int, settings: Mapping[str, Any], overrides: Mapping[str, Any]
) -> Settings:
    """What all members share. ``maximum_lag`` is bytes, ``settings`` PostgreSQL's, ``overrides`` the operator's.

    A server that crashed gets time to come back where only it has everything. With a synchronous replica nothing is
    lost by failing over at once.
    """
    chosen = PRESETS[preset]
    shared = {
        "ttl": chosen.ttl,
        "loop_wait": chosen.loop_wait,
        "retry_timeout": chosen.retry_timeout,
        "primary_start_timeout": chosen.start_timeout if synchronous == "off" else 0,
        # Where nothing is lost by it, a server that waits for its archive while it shuts down is not waited for.
        "primary_stop_timeout": chosen.ttl // 2,
        "maximum_lag_on_failover": maximum_lag,
        "check_timeline": True,
        "failsafe_mode": True,
        **_SYNCHRONOUS[synchronous],
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "parameters": {name: _plain(settings[name]) for name in SHARED if name in settings},
        },
    }
    return merged(shared, overrides)


def local(settings: Mapping[str, Any]) -> Settings:
    """PostgreSQL's settings that are this member's own, as they are derived from its host."""
    return {name: _plain(value) for name, value in settings.items() if name not in (*SHARED, *_PATRONIS)}


def problems(shared: Mapping[str, Any]) -> list[str]:
    """Why Patroni would refuse or quietly change what all members share, a sentence each."""
    found = []
    ttl, loop_wait, retry = (int(shared[name]) for name in ("ttl", "loop_wait", "retry_timeout"))
    least = max(20, loop_wait + 2 * retry)
    if ttl < least:
        found.append(f"patroni_settings: ttl {ttl} is less than {least}, which is 20 or loop_wait + 2 * retry_timeout")
    if retry < 3:
        found.append(f"patroni_settings: retry_timeout {retry} is less than 3")
    for name in shared["postgresql"].get("parameters", {}):
        if name not in SHARED:
            found.append(f"patroni_settings: {name} is a member's own; use postgresql_settings")
    return found


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> Settings:
    """The settings with the changes, mappings merged."""
    result = dict(settings)
    for name, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
        result[name] = merged(result[name], value) if both else value
    return result


def patch(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> Settings:
    """What to send to Patroni so that it has what is wanted; parameters of PostgreSQL that are not wanted go."""
    changes = _differences(current, wanted)
    extra = set(_parameters(current)) - set(_parameters(wanted))
    if extra:
        changes = merged(changes, {"postgresql": {"parameters": dict.fromkeys(sorted(extra))}})
    return changes


def _differences(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> Settings:
    changes: Settings = {}
    for name, value in wanted.items():
        if isinstance(value, Mapping):
            inner = _differences(current.get(name) or {}, value)
            if inner:
                changes[name] = inner
        elif name not in current or current[name] != value:
            changes[name] = value
    return changes


def _parameters(configuration: Mapping[str, Any]) -> Mapping[str, Any]:
    return (configuration.get("postgresql") or {}).get("parameters") or {}


def told(changes: Mapping[str, Any], prefix: str = "") -> list[str]:
    """A line for each change, such as ``ttl: 20``."""
    lines = []
    for name, value in changes.items():
        if isinstance(value, Mapping):
            lines += told(value, f"{prefix}{name}.")
        else:
            lines.append(f"{prefix}{name}: {'removed' if value is None else value}")
    return lines


def _plain(value: Any) -> Any:
    """As Patroni and YAML have it: switches as words, numbers as numbers, texts as texts."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, (int, float)):
        quote(value)  # refuses what is no value
        return str(value)
    return value


def preset_named(name: str) -> Preset:
    """The preset, or an error that knows which there are."""
    if name not in PRESETS:
        raise PatroniError(f"patroni_preset {name!r} is none of {', '.join(PRESETS)}")
    return PRESETS[name]
