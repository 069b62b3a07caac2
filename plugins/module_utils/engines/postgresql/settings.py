# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings derived from a host's memory, cores and disk, and their text in postgresql.conf.

The role's README shows the derivation as a table. Sizes are rounded down coarsely, so that a kernel update that takes a
megabyte more does not ask for a restart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError

MIB = 2**20
GIB = 2**30
MAX_CONNECTIONS = 100
PRELOADED = "pg_stat_statements"
_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?", re.IGNORECASE)
_TLS = "TLS is on with postgresql_certificate"
_RESERVED = {
    "max_connections": "use postgresql_max_connections, other settings are derived from it",
    "port": "use postgresql_port",
    "listen_addresses": "use postgresql_addresses",
    "data_directory": "use postgresql_data_directory",
    "hba_file": "use postgresql_access",
    "ident_file": "it is /etc/postgresql's",
    "ssl": _TLS,
    "ssl_cert_file": _TLS,
    "ssl_key_file": _TLS,
    "primary_conninfo": "use postgresql_primary",
    "primary_slot_name": "use postgresql_primary",
    "password_encryption": "it is scram-sha-256",
}

Settings = dict[str, Any]


def derive(
    memory: int, cores: int, disk: int, storage: str = "ssd", max_connections: int = MAX_CONNECTIONS
) -> Settings:
    """Settings for a host with so many bytes of memory and disk; ``disk`` 0 is unknown, ``storage`` ssd or hdd."""
    shared_buffers = _clamp(_rounded(memory // 4), 16 * MIB, 32 * GIB)
    per_gather = _clamp(cores // 2, 2, 4)  # PostgreSQL's own default is 2
    work_mem = (memory - shared_buffers) // (max_connections * 3) // per_gather
    max_wal_size = _clamp(_rounded(disk // 10), 256 * MIB, 8 * GIB) if disk else 4 * GIB
    kept_for_slots = _clamp(_rounded(disk // 5), 512 * MIB, 1024 * GIB) if disk else 8 * GIB
    fast = storage == "ssd"
    return {
        "max_connections": max_connections,
        "shared_buffers": _size(shared_buffers),
        "effective_cache_size": _size(_rounded(memory * 3 // 4)),
        "work_mem": _size(_clamp(_rounded(work_mem), 4 * MIB, GIB)),
        "maintenance_work_mem": _size(_clamp(_rounded(memory // 16), 16 * MIB, 2 * GIB)),
        "max_wal_size": _size(max_wal_size),
        "min_wal_size": _size(max_wal_size // 4),
        "max_slot_wal_keep_size": _size(kept_for_slots),
        "checkpoint_timeout": "15min",
        "random_page_cost": 1.1 if fast else 4,
        "effective_io_concurrency": 200 if fast else 2,
        "max_worker_processes": max(8, cores + 4),
        "max_parallel_workers": max(2, cores),
        "max_parallel_workers_per_gather": per_gather,
        "max_parallel_maintenance_workers": per_gather,
    }


def production(version: int) -> Settings:
    """What every server has, whatever its size."""
    return {
        "password_encryption": "scram-sha-256",
        "ssl_min_protocol_version": "TLSv1.2",
        "wal_level": "replica",
        "wal_log_hints": True,
        "wal_compression": "lz4" if version >= 15 else True,
        "hot_standby": True,
        "max_wal_senders": 10,
        "max_replication_slots": 10,
        "archive_timeout": "300s",
        "shared_preload_libraries": PRELOADED,
        "track_io_timing": True,
        "log_min_duration_statement": "500ms",
        "log_connections": True,
        "log_disconnections": True,
        "log_lock_waits": True,
        "log_checkpoints": True,
        "log_temp_files": "10MB",
        "log_autovacuum_min_duration": "10s",
        "log_line_prefix": "%m [%p] %q%u@%d %a %h ",
        "log_timezone": "UTC",
    }


def check_overrides(overrides: Mapping[str, Any]) -> None:
    """Refuses names and values that are none, and settings that the role's other variables or its promises decide."""
    problems = []
    for name, value in overrides.items():
        try:
            quote(value)
        except PostgresqlError as error:
            problems.append(f"{name}: {error}")
        reason = _RESERVED.get(str(name).lower())
        if reason:
            problems.append(f"{name} is not set here: {reason}")
        if not _NAME.fullmatch(str(name)):
            problems.append(f"{name!r} is not the name of a setting")
    if problems:
        raise PostgresqlError("\n".join(problems))


def combine(*layers: Mapping[str, Any]) -> Settings:
    """Later layers win, whatever the case of a name; pg_stat_statements stays among the preloaded libraries."""
    settings: Settings = {}
    for layer in layers:
        for name, value in layer.items():
            if not _NAME.fullmatch(str(name)):
                raise PostgresqlError(f"{name!r} is not the name of a setting")
            settings[str(name).lower()] = value
    libraries = [word.strip() for word in str(settings.get("shared_preload_libraries") or "").split(",")]
    if PRELOADED not in libraries:
        settings["shared_preload_libraries"] = ", ".join(filter(None, [PRELOADED, *libraries]))
    return settings


def render(settings: Mapping[str, Any]) -> str:
    """Lines of postgresql.conf, in the order of the names."""
    return "".join(f"{name} = {quote(value)}\n" for name, value in sorted(settings.items()))


def quote(value: Any) -> str:
    """A value as postgresql.conf has it: numbers and switches bare, texts in quotes."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return f"{value:.15g}"
    if value is None or isinstance(value, (list, tuple, Mapping)):
        raise PostgresqlError(f"{value!r} is not the value of a setting; write a text, a number, true or false")
    if re.search(r"[\r\n\0]", str(value)):
        raise PostgresqlError(f"{value!r} has a line break, which a setting cannot have")
    return "'" + str(value).replace("'", "''").replace("\\", "\\\\") + "'"


def _rounded(size: int) -> int:
    """Down to three significant binary digits: at most a fifth less, and the same after small changes."""
    step = 1 << max(0, size.bit_length() - 3)
    return size // step * step


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def _size(size: int) -> str:
    return f"{size // MIB}MB"
