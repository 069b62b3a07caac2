"""The background half: makes the digest of every stored item."""

from __future__ import annotations

import hashlib
import logging
import signal
import threading

from . import metrics
from .settings import Settings
from .store import Store

LOG = logging.getLogger(__name__)
BATCH = 100


def run(settings: Settings, store: Store) -> None:
    """Works until SIGTERM or SIGINT; the item in hand is finished."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    LOG.info("working")
    while not stopping.wait(settings.worker_interval):
        for key, body in store.unfinished(BATCH):
            store.finish(key, hashlib.sha256(body.encode()).hexdigest())
            metrics.JOBS.labels("done").inc()
            if stopping.is_set():
                break
    LOG.info("stopped")
