# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What services that nobody releases any more have on this host, and how all of it goes."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.release import engine, metrics
from ansible_collections.slipway.ops.plugins.module_utils.release.host import MIGRATION, Host, container_name, manifest
from ansible_collections.slipway.ops.plugins.module_utils.service.model import COLOURS

PATIENCE = 30.0  # seconds in which whoever else removes a container is done
_POLL = 0.5


@dataclass
class Traces:
    """What there is of a service. ``volumes`` have data that no release makes again."""

    containers: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    releases: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    def told(self) -> list[str]:
        """What may go without a question, as phrases."""
        kinds = {"container": self.containers, "image": self.images, "secret": self.secrets, "release": self.releases}
        phrases = [
            f"{kind}{'s' if len(names) > 1 else ''} {', '.join(names)}" for kind, names in kinds.items() if names
        ]
        return phrases + self.files


def traces(host: Host) -> Traces:
    """What there is of one service. Changes nothing."""
    directory = host.directory
    images = {manifest(place).get("image", "") for place in directory.glob("releases/*/*")}
    return Traces(
        containers=_containers(host),
        images=sorted(image for image in images - host.images_of_others() if image and engine.image_id(image)),
        secrets=_names(directory / "secrets"),
        releases=_names(directory / "releases"),
        files=[str(path) for path in [directory / "history.jsonl"] if path.exists()],
        volumes=[str(path) for path in sorted(directory.glob("volumes/*")) if path.is_dir()],
    )


def _remove(host: Host, held: int) -> None:
    """Removes containers of no project any more. A swarm removes its own meanwhile, so that Docker refuses to or knows
    them no more."""
    give_up = time.monotonic() + PATIENCE
    while left := _containers(host):
        try:
            engine.run(["docker", "rm", "--force", *left], host.timeout, [held])
        except engine.EngineError:
            if time.monotonic() >= give_up:
                raise
            time.sleep(_POLL)


def retire(host: Host, volumes: bool, dry: bool) -> tuple[list[str], list[str]]:
    """Takes a service away; what went and what was kept, as phrases. ``dry`` changes nothing."""
    found = traces(host)
    gone = found.told() + ([f"the data in {path}" for path in found.volumes] if volumes else [])
    kept = [] if volumes else found.volumes
    if host.directory.exists() and not gone and not kept:
        gone = [str(host.directory)]
    if dry or not gone:
        return gone, kept
    with host.held() as held:
        for colour in COLOURS:
            host.stop(colour, held)
        host.forget_migration()
        _remove(host, held)
        for image in found.images:
            engine.run(["docker", "image", "rm", image], host.timeout, [held])
        for part in ("secrets", "releases", *(["volumes"] if volumes else [])):
            if (host.directory / part).exists():
                shutil.rmtree(host.directory / part)
        if kept:
            host.history.unlink(missing_ok=True)
        else:
            shutil.rmtree(host.directory)
    metrics.publish(host.directory.parent)
    return gone, kept


def leftovers(root: Path, known: Collection[str]) -> dict[str, list[str]]:
    """By service that is not ``known``, what it left on this host; volumes that were kept are nobody's oversight."""
    try:
        found_now = engine.containers(["slipway.service"])  # empty for a migration, which is none of its containers
        containers = Counter(str(i["Labels"]["slipway.service"] or i["Labels"].get(MIGRATION, "")) for i in found_now)
    except engine.EngineError:
        containers = Counter()  # in check mode before the first run there is no engine, and nothing was released
    names = {path.parent.name for path in root.glob("*/releases")} | set(containers)
    found = {}
    for name in sorted(names - set(known)):
        counts = {kind: len(_names(root / name / f"{kind}s")) for kind in ("release", "secret")}
        counts = {"container": containers[name]} | counts
        told = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items() if count]
        if told:
            found[name] = told
    return found


def _containers(host: Host) -> list[str]:
    labels = (f"slipway.service={host.service}", f"{MIGRATION}={host.service}")
    return sorted(container_name(item) for label in labels for item in engine.containers([label]))


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
