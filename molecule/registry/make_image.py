"""Write an image archive as `docker save` does, with one file in it: python make_image.py ARCHIVE NAME BYTES."""

from __future__ import annotations

import hashlib
import io
import json
import random
import sys
import tarfile
from pathlib import Path


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def image(name: str, size: int) -> bytes:
    """The file `version` says the name; `ballast` has `size` bytes that no compression makes smaller."""
    layer = tar({"version": name.encode(), "ballast": random.Random(name).randbytes(size)})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {"Cmd": ["/version"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    content = json.dumps(config).encode()
    identity = hashlib.sha256(content).hexdigest()
    manifest = [{"Config": f"{identity}.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    return tar({f"{identity}.json": content, "layer.tar": layer, "manifest.json": json.dumps(manifest).encode()})


if __name__ == "__main__":
    path, name, size = sys.argv[1:]
    Path(path).write_bytes(image(name, int(size)))
