# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an operator asks to be put into the registry, and why it may have to be refused. Decided on the controller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.release.version import VERSION

_HOW = """-e '{"publish_images": [{"name": "shop:2.0.0", "image": "shop:2.0.0"}]}'"""
_SOURCES = ("archive", "image")


def problems(images: Any, registry: str, users: Any) -> list[str]:
    """Each as a sentence; none when the run may begin."""
    found = []
    if not registry:
        found.append("registry_name of the inventory says to which registry; it is not set.")
    if not _may_push(users):
        found.append("registry_users of the inventory needs a first user, with username and password, who pushes.")
    if not isinstance(images, Sequence) or isinstance(images, str):
        return [*found, f"publish_images is a list, such as {_HOW}."]
    if not images:
        return [*found, f"Say what to publish with publish_images, such as {_HOW}."]
    return found + [told for image in images for told in _image_problems(image)]


def _may_push(users: Any) -> bool:
    first = users[0] if isinstance(users, Sequence) and not isinstance(users, str) and users else None
    return isinstance(first, Mapping) and bool(first.get("username")) and bool(first.get("password"))


def _image_problems(image: Any) -> list[str]:
    if not isinstance(image, Mapping):
        return [f"{image!r} of publish_images is no image with a name; write such as {_HOW}."]
    name = str(image.get("name") or "")
    repository, _, version = name.rpartition(":")
    if not repository or not VERSION.fullmatch(version):
        return [f"The name {name!r} of publish_images is not repository:version, such as shop:2.0.0."]
    unknown = sorted(set(image) - {"name", *_SOURCES})
    given = [source for source in _SOURCES if image.get(source)]
    if unknown:
        return [f"{name} of publish_images has no option {', '.join(unknown)}; there are name, archive and image."]
    if len(given) != 1:
        return [f"{name} of publish_images has {' and '.join(given) or 'no source'}; it needs one, archive or image."]
    if given == ["archive"] and not Path(str(image["archive"])).is_file():
        return [f"{name}: there is no archive {image['archive']} on the controller; docker save writes one."]
    return []
