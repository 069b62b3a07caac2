"""One JSON object a line on standard output."""

from __future__ import annotations

import datetime
import json
import logging
import sys

from .settings import Settings


class JsonLines(logging.Formatter):
    """Every line names its instance; `extra={"fields": {...}}` adds what belongs to one event."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._instance = {
            "instance": settings.instance,
            "version": settings.version,
            "colour": settings.colour,
        }

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **self._instance,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(settings: Settings) -> None:
    """Sends every logger, uvicorn's too, through `JsonLines`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(settings))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
