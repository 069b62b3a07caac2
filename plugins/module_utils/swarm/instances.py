# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What answers on this node for a service of the swarm: not what the swarm says, but whose image it is."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping

from ansible_collections.slipway.ops.plugins.module_utils.release import engine

LABEL = "com.docker.swarm.service.name"


def problems(ports: Mapping[str, int], image: str, ready: str) -> list[str]:
    """What is wrong with the instances, which are ports by the names of their services; each is a clause."""
    wanted = engine.image_id(image)
    if not wanted:
        return [f"the image {image} is not on this host"]
    return [told for name, port in ports.items() if (told := _problem(name, port, wanted, ready))]


def wait(ports: Mapping[str, int], image: str, ready: str, seconds: float) -> list[str]:
    """The same, once they had this long to become ready."""
    deadline = time.monotonic() + seconds
    while (found := problems(ports, image, ready)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def _problem(name: str, port: int, wanted: str, ready: str) -> str:
    running = [one for one in engine.containers([f"{LABEL}={name}"]) if one["State"] == "running"]
    if not running:
        return f"no container of {name} runs"
    others = {one["ImageID"] for one in running} - {wanted}
    if others:
        return f"{name} runs another image ({', '.join(sorted(others))})"
    return _answer(f"{name} on port {port}", port, ready)


def _answer(what: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{what} does not answer: {error}"
    finally:
        connection.close()
    return "" if status == http.client.OK else f"{what} answers {status} to {path}"
