"""What tests of releases do in the containers that stand in for hosts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence

SAMPLE = "slipway/sample-service"


def shell(container: str, command: str) -> str:
    """What a shell command in a container says; it has to succeed."""
    argv = ["docker", "exec", container, "sh", "-c", command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{container}: {command}: {done.stderr}"
    return done.stdout


def have_sample(containers: Iterable[str], versions: Sequence[str]) -> None:
    """The sample service's images are on the engine within each container, as if pulled; releases remove old ones."""
    names = [f"{SAMPLE}:{version}" for version in versions]
    for container in containers:
        if len(shell(container, f"docker images -q {SAMPLE}").splitlines()) < len(names):
            with subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE) as save:
                load = ["docker", "exec", "-i", container, "docker", "load", "--quiet"]
                subprocess.run(load, stdin=save.stdout, check=True, capture_output=True)
