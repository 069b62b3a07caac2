# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an app host or an edge knows of a service's releases: the answers of release_info and release_begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.pools import Edge, describe_pools
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError
from ansible_collections.slipway.ops.plugins.module_utils.net.address import AddressError
from ansible_collections.slipway.ops.plugins.module_utils.release.engine import EngineError
from ansible_collections.slipway.ops.plugins.module_utils.release.host import Host
from ansible_collections.slipway.ops.plugins.module_utils.release.survey import Question, SurveyError, survey

ARGUMENTS: dict[str, dict[str, Any]] = {
    "service": {"type": "str", "required": True},
    "parts": {"type": "list", "elements": "str", "choices": ["containers", "pool"], "default": ["containers"]},
    "root": {"type": "path", "default": "/srv/slipway"},
    "instances": {"type": "int", "default": 1},
    "image": {"type": "str", "default": ""},
    "ports": {"type": "dict", "default": {}},
    "address": {"type": "str", "default": ""},
    "logs_of": {"type": "str", "choices": ["blue", "green"]},
    "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
    "master_socket": {"type": "path", "default": "/run/haproxy-master.sock"},
    "map": {"type": "path", "default": "/var/lib/slipway/haproxy/live.map"},
}


def _containers(params: dict[str, Any]) -> dict[str, Any]:
    """What an app host knows."""
    directory = Path(params["root"]) / params["service"]
    question = Question(**{name: params[name] for name in ("service", "instances", "image", "ports", "address")})
    found = survey(question, directory)
    if params["logs_of"]:
        found["logs"] = Host(params["service"], directory).logs(params["logs_of"])
    return found


def _pool(params: dict[str, Any]) -> dict[str, Any]:
    """What an edge host knows."""
    edge = Edge.at(params["socket"], params["master_socket"], params["map"])
    return {"pool": describe_pools(edge, [params["service"]])[params["service"]]}


class LookError(Exception):
    """A host could not be asked; the text says what was tried and what to do."""


def look(params: dict[str, Any]) -> dict[str, Any]:
    """The parts that ``params`` (see ``ARGUMENTS``) asks for. Changes nothing."""
    try:
        found = _containers(params) if "containers" in params["parts"] else {}
        return found | (_pool(params) if "pool" in params["parts"] else {})
    except (AddressError, HaproxyError, SurveyError) as error:
        raise LookError(str(error)) from error
    except (EngineError, OSError) as error:
        raise LookError(
            f"The state of {params['service']} could not be read: {error}. "
            "Is Docker running here (systemctl status docker)? site.yml installs and starts it."
        ) from error
