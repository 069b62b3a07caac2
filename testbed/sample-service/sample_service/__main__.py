"""`sample-service serve` answers requests, `sample-service worker` works in the background."""

from __future__ import annotations

import logging
import signal
import sys
import time

import uvicorn

from . import logs, metrics, worker
from .app import create_app
from .lifecycle import Lifecycle, Server
from .settings import Settings, SettingsError, load
from .store import StoreError, open_store

LOG = logging.getLogger("sample_service")
WORKER_METRICS_PORT = 9093


def _start_slowly(settings: Settings) -> None:
    # A container's first process has no default signal handlers: without this it could not be stopped while it starts.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if settings.start_delay:
        LOG.info("starting slowly", extra={"fields": {"seconds": settings.start_delay}})
        time.sleep(settings.start_delay)
    if settings.fail_start:
        sys.exit("this release does not start")


def _serve(settings: Settings) -> None:
    store = open_store(settings.database_url, settings.database_password)
    metrics.set_up(settings, settings.metrics_port)
    lifecycle = Lifecycle(settings.drain_time)
    config = uvicorn.Config(
        create_app(settings, store, lifecycle),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        backlog=2048,
        timeout_keep_alive=int(settings.keep_alive),
        timeout_graceful_shutdown=int(settings.stop_timeout),
    )
    Server(config, lifecycle).run()
    store.close()


def _work(settings: Settings) -> None:
    store = open_store(settings.database_url, settings.database_password)
    metrics.set_up(settings, settings.metrics_port or WORKER_METRICS_PORT)
    worker.run(settings, store)
    store.close()


def main(arguments: list[str]) -> None:
    commands = {"serve": _serve, "worker": _work}
    if len(arguments) != 1 or arguments[0] not in commands:
        sys.exit("usage: sample-service serve | worker | healthcheck [path]")
    try:
        settings = load()
        logs.set_up(settings)
        _start_slowly(settings)
        commands[arguments[0]](settings)
    except (SettingsError, StoreError, OSError) as error:
        sys.exit(f"sample-service: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
