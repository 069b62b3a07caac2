# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which host runs which of the scanners that no role installs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

IMAGE_SCANNERS = ("trivy", "grype")  # the first that is there
Look = Mapping[str, Any]


def plan(looks: Mapping[str, Look], scanner: str, optional: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """By host, what it runs. ``optional`` is what the operator asks for: what is missing of it is to be unknown. With
    None, what is there is run."""
    alone = scanner not in looks
    made = {host: _of_host(host, look, _asked(look, optional), alone) for host, look in looks.items()}
    if scanner in made:
        made[scanner] |= _of_scanner(looks, scanner, optional)
    return made


def _asked(look: Look, optional: Sequence[str] | None) -> set[str]:
    there = set(look["programs"])
    return set(optional) if optional is not None else there | ({"images"} if there & set(IMAGE_SCANNERS) else set())


def _tool(look: Look) -> str:
    return next((tool for tool in IMAGE_SCANNERS if tool in look["programs"]), "")


def _of_host(host: str, look: Look, asked: set[str], alone: bool = False) -> dict[str, Any]:
    """A host that has a scanner of images looks at its own, which need not be fetched; ``alone`` it has to, or say that
    it cannot."""
    own = look["images"] if "images" in asked and (_tool(look) or alone) else []
    return {
        "gixy": False,
        "sslyze": False,
        "probes": False,
        "image_scanner": _tool(look) or IMAGE_SCANNERS[0],
        "images": [{"name": one["image"], "subject": f"{one['service']} on {host}"} for one in own],
        "programs": look["programs"],
    }


def _of_scanner(looks: Mapping[str, Look], scanner: str, optional: Sequence[str] | None) -> dict[str, Any]:
    """The host that scans the others looks at the images of those that have no scanner of images, each once."""
    asked = _asked(looks[scanner], optional)
    others = sorted({(one["service"], one["image"]) for one in _images_without_scanner(looks)})
    own = _of_host(scanner, looks[scanner], asked)["images"]
    return {
        **{tool: tool in asked for tool in ("gixy", "sslyze", "probes")},
        "images": own + [{"name": image, "subject": service} for service, image in others if "images" in asked],
    }


def _images_without_scanner(looks: Mapping[str, Look]) -> list[dict[str, str]]:
    return [one for look in looks.values() if not _tool(look) for one in look["images"]]
