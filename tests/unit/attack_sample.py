"""A site and its edge, as tests of attacks have them."""

from __future__ import annotations

from typing import Any

EDGE: dict[str, Any] = {
    "name": "edge1",
    "address": "192.0.2.1",
    "http_port": 80,
    "https_port": 443,
    "body_size": "1m",
    "agents": [],
    "unlimited": [],
    "trusted": [],
    "client_header": "CF-Connecting-IP",
}
SHOP: dict[str, Any] = {
    "name": "shop",
    "domains": ["shop.example.test"],
    "certificate": {"name": "shop"},
    "waf": {"mode": "block"},
    "locations": [
        {"path": "/", "pool": "127.0.0.1:18000", "body_size": "64k"},
        {"path": "/login", "pool": "127.0.0.1:18000", "rate_limit": {"rate": "5/min"}},
    ],
}
