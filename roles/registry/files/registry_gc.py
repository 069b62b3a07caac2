#!/usr/bin/python3
"""Remove old tags and what no tag needs, then free the space.

Written by the role slipway.ops.registry; changes here are lost.
Of each repository the `keep_tags` tags pushed last stay (0: all), and tags that a pattern of `keep_always` matches.
Manifests without a tag go, unless a kept manifest list names them or they are younger than a day: a push in progress.
While blobs are swept the registry answers pulls and refuses pushes.
"""

from __future__ import annotations

import argparse
import fcntl
import fnmatch
import json
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SETTINGS = Path("/etc/slipway/registry/gc.json")
CONFIGURATION = "/etc/docker/registry/config.yml"
READ_ONLY_CONFIGURATION = "/etc/docker/registry/read-only.yml"
UNIT = "docker-registry.service"
READ_ONLY = Path(f"/run/systemd/system/{UNIT}.d/slipway-read-only.conf")
LOCK = Path("/run/slipway-registry-gc.lock")
DAY = 86400
PATIENCE = 60


@dataclass(frozen=True)
class Tag:
    name: str
    digest: str
    pushed: float


class Repository:
    """One repository as it lies in the registry's storage."""

    def __init__(self, root: Path, directory: Path) -> None:
        self.root, self.directory = root, directory
        self.name = str(directory.relative_to(root / "repositories"))

    def tags(self) -> list[Tag]:
        links = self.directory.glob("_manifests/tags/*/current/link")
        found = [Tag(link.parents[1].name, link.read_text().strip(), link.stat().st_mtime) for link in links]
        return sorted(found, key=lambda tag: tag.pushed, reverse=True)

    def revisions(self) -> dict[str, float]:
        """Digest of every manifest, and when it came."""
        links = self.directory.glob("_manifests/revisions/sha256/*/link")
        return {link.read_text().strip(): link.stat().st_mtime for link in links}

    def children(self, digest: str) -> set[str]:
        """What a manifest list names; a plain manifest names none."""
        _, _, value = digest.partition(":")
        manifest = json.loads((self.root / "blobs/sha256" / value[:2] / value / "data").read_text())
        return {child["digest"] for child in manifest.get("manifests", [])}

    def unneeded(self, keep_tags: int, keep_always: list[str], now: float) -> tuple[list[Tag], list[str]]:
        """Tags that go, and the digests to delete: a digest that a kept tag shares is never among them."""
        tags = self.tags()
        listed = [t for t in tags if any(fnmatch.fnmatch(f"{self.name}:{t.name}", p) for p in keep_always)]
        kept = {*(tags[:keep_tags] if keep_tags else tags), *listed}
        digests = {tag.digest for tag in kept}
        needed = digests.union(*(self.children(digest) for digest in digests))
        gone = [tag for tag in tags if tag.digest not in digests]
        replaced = {digest for digest, came in self.revisions().items() if came < now - DAY}
        return gone, sorted(({tag.digest for tag in gone} | (replaced - {t.digest for t in tags})) - needed)


def repositories(storage: Path) -> Iterator[Repository]:
    root = storage / "docker/registry/v2"
    for manifests in sorted((root / "repositories").rglob("_manifests")):
        yield Repository(root, manifests.parent)


def delete(settings: dict, repository: str, digest: str) -> None:
    registry = settings["registry"]
    login = json.loads(Path(settings["login"]).read_text())["auths"][registry]["auth"]
    request = urllib.request.Request(
        f"https://{registry}/v2/{repository}/manifests/{digest}",
        method="DELETE",
        headers={"Authorization": f"Basic {login}"},
    )
    with urllib.request.urlopen(request, timeout=30, context=ssl.create_default_context()):  # noqa: S310
        pass


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def restart(health: str) -> None:
    """Restart, and wait until the registry answers: its unit counts as started before it does."""
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", UNIT)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(health, timeout=5).close()  # noqa: S310
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextmanager
def read_only(health: str) -> Iterator[None]:
    """Below /run, so that no accident leaves the registry read-only over a reboot."""
    READ_ONLY.parent.mkdir(parents=True, exist_ok=True)
    READ_ONLY.write_text(f"[Service]\nExecStart=\nExecStart=/usr/bin/docker-registry serve {READ_ONLY_CONFIGURATION}\n")
    try:
        try:
            restart(health)
            yield
        finally:
            # A stop ends the sweep's process too; its signal may come to us only now, and must not end the way back.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
    finally:
        READ_ONLY.unlink()
        restart(health)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    dry_run = parser.parse_args().dry_run
    settings = json.loads(SETTINGS.read_text())
    storage = Path(settings["storage"])
    lock = LOCK.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    for repository in repositories(storage):
        tags, digests = repository.unneeded(settings["keep_tags"], settings["keep_always"], time.time())
        names = " ".join(sorted(tag.name for tag in tags)) or "none"
        print(f"{repository.name}: tags to go: {names}; manifests to go: {len(digests)}", flush=True)
        if not dry_run:
            for digest in digests:
                delete(settings, repository.name, digest)
    if not dry_run:
        free = shutil.disk_usage(storage).free
        with read_only(settings["health"]):
            run("runuser", "-u", "docker-registry", "--", "docker-registry", "garbage-collect", CONFIGURATION)
        print(f"freed {max(0, shutil.disk_usage(storage).free - free) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        sys.exit(main())
    except BlockingIOError:
        sys.exit("another run is at work")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)} ended with {error.returncode}")
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
