# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The order to start a prober: its options, and what becomes of one that runs already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.traffic.control import Control, default_root
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import (
    Plan,
    TrafficError,
    check_name,
    check_on_host,
)

DEFAULT_RATES = {"keep_alive": 20.0, "fresh": 5.0, "post": 0.0, "websocket": 0.0, "http2": 0.0}
PLAN_OPTIONS = (
    *("name", "url", "post_url", "websocket_url", "rates", "address", "server_name", "ca_file", "headers", "body"),
    *("content_type", "connections", "timeout", "max_duration", "success_codes", "version_header", "version_field"),
)


def argument_spec() -> dict[str, Any]:
    """The options of M(slipway.ops.traffic), as its DOCUMENTATION describes them."""
    text = {"type": "str", "default": ""}
    return {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["started", "read", "stopped", "absent"], "default": "started"},
        "url": {"type": "str"},
        "post_url": text,
        "websocket_url": text,
        "rates": {
            "type": "dict",
            "default": {},
            "options": {client: {"type": "float", "default": rate} for client, rate in DEFAULT_RATES.items()},
        },
        "address": text,
        "server_name": text,
        "ca_file": text,
        "headers": {"type": "dict", "default": {}, "no_log": True},
        "body": {"type": "str", "default": "{}"},
        "content_type": {"type": "str", "default": "application/json"},
        "connections": {"type": "int", "default": 10},
        "timeout": {"type": "float", "default": 10},
        "max_duration": {"type": "float", "default": 600},
        "success_codes": {"type": "list", "elements": "int", "default": []},
        "version_header": {"type": "str", "default": "X-Service-Version"},
        "version_field": {"type": "str", "default": "version"},
        "replace": {"type": "bool", "default": False},
        "window": {"type": "int"},
        "id_prefix": {"type": "str"},
        "subject": {"type": "str"},
        "limits": {"type": "dict", "default": {"failed_requests": "= 0"}},
        "state_directory": {"type": "path"},
    }


def plan_of(params: dict[str, Any]) -> Plan:
    """The order to the prober."""
    options = {name: params[name] for name in PLAN_OPTIONS}
    options["headers"] = {name: str(value) for name, value in params["headers"].items()}
    options["rates"] = params["rates"] or DEFAULT_RATES
    return Plan(**options)


def control_of(params: dict[str, Any]) -> Control:
    """The prober that the options name."""
    check_name(params["name"])
    return Control(Path(params["state_directory"] or default_root()), params["name"])


def start(control: Control, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Starts it, unless it runs with the same options; ``changed``, and its ``pid`` when it was started."""
    plan = plan_of(params)
    running = control.running() is not None
    if running and control.same_plan(plan):
        return {"changed": False}
    if running and not params["replace"]:
        raise TrafficError(
            f"A prober {plan.name} is already running with other options; stop it first (state: stopped), "
            "choose another name, or set `replace: true`"
        )
    check_on_host(plan)
    if check_mode:
        return {"changed": True}
    control.stop()
    return {"changed": True, "pid": control.start(plan)}
