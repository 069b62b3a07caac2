"""What Prometheus scrapes."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from .settings import Settings

BUCKETS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2,
    3,
    5,
    10,
)  # seconds; holds every limit the reference systems name

REQUESTS = Counter("http_requests_total", "Requests answered.", ["method", "path", "status"])
DURATION = Histogram("http_request_duration_seconds", "From request to last byte.", ["method", "path"], buckets=BUCKETS)
IN_FLIGHT = Gauge("http_requests_in_flight", "Requests being answered.")
WEBSOCKETS = Gauge("websocket_connections", "Open WebSockets.")
ITEMS = Counter("items_stored_total", "Items stored.")
JOBS = Counter("worker_jobs_total", "Jobs finished by this worker.", ["result"])
INFO = Gauge("service_info", "Which release this is; always 1.", ["version", "colour", "instance"])


def set_up(settings: Settings, own_port: int | None) -> None:
    """Names the release, and serves the metrics on `own_port` when there is one."""
    INFO.labels(settings.version, settings.colour, settings.instance).set(1)
    if own_port:
        start_http_server(own_port, settings.host)
