#!/usr/bin/python3
"""Remove images that nothing needs. Written by the role slipway.ops.docker; changes here are lost.

An image stays when a container uses it (running or not), when a file of a kept release names it, when a pattern of the
configuration matches it, or when it came here within the last `age_days` days. Containers, volumes and networks are
never touched. When any of that cannot be learnt, nothing is removed.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

CONFIGURATION = Path("/etc/slipway/docker-prune.json")
NEVER = datetime.min.replace(tzinfo=timezone.utc)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, text=True, stdout=subprocess.PIPE).stdout


def moment(text: str) -> datetime:
    """Docker's RFC 3339 time; its year 1 stands for never."""
    seconds, _, rest = text.partition(".")
    zone = re.search(r"(Z|[+-]\d\d:\d\d)$", text)
    if text.startswith("0001") or not zone:
        return NEVER
    bare = seconds if rest else text[: zone.start()]
    return datetime.fromisoformat(bare + zone[0].replace("Z", "+00:00"))


def names(image: dict) -> set[str]:
    tags = image["RepoTags"] or []
    return {image["Id"], *tags, *(tag.removesuffix(":latest") for tag in tags), *(image["RepoDigests"] or [])}


def arrived(image: dict) -> datetime:
    """When the image was pulled, loaded or tagged here; builds and imports have only a creation time."""
    tagged = (image.get("Metadata") or {}).get("LastTagTime") or "0001"
    return max(moment(image["Created"]), moment(tagged))


def files_of_releases(root: Path) -> Iterator[Path]:
    """Files below <root>/<service>/releases; a directory that cannot be read is an error, not an empty one."""

    def refuse(error: OSError) -> None:
        raise error

    for service in root.iterdir() if root.exists() else []:
        if (service / "releases").is_dir():
            for directory, _, files in os.walk(service / "releases", onerror=refuse):
                yield from (path for path in (Path(directory, name) for name in files) if path.is_file())


def words(path: Path) -> set[str]:
    """Every word of a file that could be an image's name, as the engine would write that name."""
    found = set(re.findall(r"[\w./:@-]+", path.read_text(encoding="utf-8", errors="replace")))
    short = {re.sub(r"^docker\.io/(library/)?", "", word) for word in found}
    return found | {re.sub(r":[^:/@]+@", "@", word) for word in short} | short


def unneeded(images: list[dict], used: set[str], named: set[str], keep: list[str], before: datetime) -> list[dict]:
    def needed(image: dict) -> bool:
        own = names(image)
        return (
            image["Id"] in used
            or bool(own & named)
            or any(fnmatch.fnmatch(name, pattern) for name in own for pattern in keep)
            or arrived(image) >= before
        )

    return [image for image in images if not needed(image)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    dry_run = parser.parse_args().dry_run
    settings = json.loads(CONFIGURATION.read_text(encoding="utf-8"))
    before = datetime.now(timezone.utc) - timedelta(days=settings["age_days"])

    identifiers = docker("image", "ls", "--quiet", "--no-trunc").split()
    containers = docker("ps", "--all", "--quiet", "--no-trunc").split()
    images = json.loads(docker("image", "inspect", *sorted(set(identifiers)))) if identifiers else []
    used = set(docker("inspect", "--format", "{{.Image}}", *containers).split()) if containers else set()
    named = set().union(*map(words, files_of_releases(Path(settings["releases"]))))

    failed = 0
    for image in unneeded(images, used, named, settings["keep"], before):
        own = image["RepoTags"] or [image["Id"]]
        print(
            f"{'would remove' if dry_run else 'removing'} {' '.join(own)}, here since {arrived(image):%F}", flush=True
        )
        if not dry_run:
            removal = subprocess.run(["docker", "image", "rm", *own], check=False, stdout=subprocess.DEVNULL)
            failed += removal.returncode != 0
    if not dry_run:
        docker("builder", "prune", "--force", "--filter", f"until={settings['age_days'] * 24}h")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"nothing more was removed: {' '.join(error.cmd[:3])} ended with {error.returncode}")
    except (OSError, ValueError) as error:
        sys.exit(f"nothing was removed: {error}")
