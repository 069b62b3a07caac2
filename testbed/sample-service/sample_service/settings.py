"""The service's settings, all from the environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """A setting cannot be understood."""


@dataclass(frozen=True)
class Settings:
    """What one instance is and how it misbehaves. Durations are seconds unless the name says otherwise."""

    version: str = "0.0.0"
    colour: str = ""
    instance: str = ""
    host: str = "0.0.0.0"  # noqa: S104 - inside a container
    port: int = 8000
    metrics_port: int | None = None  # metrics move here, off the public port
    database_url: str = "sqlite:////data/items.db"
    database_password: str = ""
    api_token: str = ""  # empty: nobody gets in
    log_level: str = "info"
    keep_alive: float = 75.0  # above any proxy's idle time, so that the proxy closes first
    drain_time: float = 3.0  # between "not ready" and closing the listener: the proxy has to notice
    stop_timeout: float = 20.0  # for requests still running after that
    worker_interval: float = 1.0
    start_delay: float = 0.0
    fail_start: bool = False
    fail_health: bool = False
    error_rate: float = 0.0  # 0..1 of the answers that are not about health
    latency: float = 0.0


def _number(environment: Mapping[str, str], name: str, default: float, most: float = 3600.0) -> float:
    text = environment.get(name, "") or str(default)
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(f"{name}={text!r} is not a number") from None
    if not 0 <= value <= most:
        raise SettingsError(f"{name}={text} is not between 0 and {most:g}")
    return value


def _flag(environment: Mapping[str, str], name: str) -> bool:
    text = environment.get(name, "").lower()
    if text not in ("", "0", "1", "false", "true", "no", "yes"):
        raise SettingsError(f"{name}={text!r} is not true or false")
    return text in ("1", "true", "yes")


def _level(environment: Mapping[str, str], default: str) -> str:
    level = environment.get("LOG_LEVEL", "").lower() or default
    if level not in ("debug", "info", "warning", "error"):
        raise SettingsError(f"LOG_LEVEL={level!r} is not debug, info, warning or error")
    return level


def _secret(path: str) -> str:
    file = Path(path)
    return file.read_text(encoding="utf-8").strip() if file.exists() else ""


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings that `environment` gives; SettingsError names the one that is wrong."""
    defaults = Settings()
    metrics_port = int(_number(environment, "METRICS_PORT", 0, 65535))
    return Settings(
        version=environment.get("SERVICE_VERSION", "") or defaults.version,
        colour=environment.get("SERVICE_COLOUR", ""),
        instance=environment.get("INSTANCE_ID", "") or socket.gethostname(),
        host=environment.get("HOST", "") or defaults.host,
        port=int(_number(environment, "PORT", defaults.port, 65535)),
        metrics_port=metrics_port or None,
        database_url=environment.get("DATABASE_URL", "") or defaults.database_url,
        database_password=_secret(environment.get("DATABASE_PASSWORD_FILE", "/run/secrets/database_password")),
        api_token=_secret(environment.get("API_TOKEN_FILE", "/run/secrets/api_token")),
        log_level=_level(environment, defaults.log_level),
        keep_alive=_number(environment, "KEEP_ALIVE", defaults.keep_alive),
        drain_time=_number(environment, "DRAIN_TIME", defaults.drain_time),
        stop_timeout=_number(environment, "STOP_TIMEOUT", defaults.stop_timeout),
        worker_interval=_number(environment, "WORKER_INTERVAL", defaults.worker_interval),
        start_delay=_number(environment, "START_DELAY", 0),
        fail_start=_flag(environment, "FAIL_START"),
        fail_health=_flag(environment, "FAIL_HEALTH"),
        error_rate=_number(environment, "ERROR_RATE", 0, 1),
        latency=_number(environment, "LATENCY_MS", 0, 600_000) / 1000,
    )
