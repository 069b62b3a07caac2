"""The newest ansible-core on Python 3.13: unit tests, every playbook's syntax, roles that configure a real host twice.

The packages come from the same lock file; they run on the Python of a Debian 13 container, the checkout is read-only.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playbook import ROOT, play

HERE = Path(__file__).resolve().parent / "newest_core"
CONTAINER = "slipway-newest-core-newest1"
PACKAGES = ROOT / ".cache" / "newest-core"
INSTALL = ["pip", "install", "--quiet", "--require-hashes", "--python-version", "3.13", "--target", str(PACKAGES)]


def run(*command: str, timeout: int = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=timeout, check=False)


def install_packages() -> None:
    """The lock file's packages for Python 3.13, without a Python 3.13 on this machine."""
    stamp = PACKAGES / ".lock"
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == lock:
        return
    shutil.rmtree(PACKAGES, ignore_errors=True)
    uv = str(ROOT / ".cache" / "uv" / "bin" / "uv")
    done = run(uv, *INSTALL, "--python-platform", "x86_64-manylinux_2_28", "-r", "requirements.lock")
    assert done.returncode == 0, done.stderr
    stamp.write_text(lock, encoding="utf-8")


@pytest.fixture(scope="module")
def host() -> Iterator[None]:
    install_packages()
    volumes = [f"{ROOT}:/checkout:ro", f"{PACKAGES}:/packages:ro"]
    created = play(ROOT / "testbed/create.yml", HERE / "inventory.yml", timeout=300, testbed_volumes=volumes)
    assert created.code == 0, created.output
    for program, name in (("ansible-playbook", "playbook"), ("ansible-vault", "vault"), ("ansible", "adhoc")):
        command = f'printf "#!/bin/sh\\nexec python3 -m ansible {name} \\"\\$@\\"\\n" >/usr/bin/{program}'
        inside("sh", "-c", f"{command}; chmod 755 /usr/bin/{program}")
    yield
    play(ROOT / "testbed/destroy.yml", HERE / "inventory.yml", timeout=300)


def inside(*command: str, timeout: int = 300) -> subprocess.CompletedProcess[str]:
    """Run in the container, in the checkout, with the newest core."""
    settings = ["PYTHONPATH=/packages", "ANSIBLE_CACHE_PLUGIN=memory", "ANSIBLE_LOCAL_TEMP=/tmp/a", "LC_ALL=C.UTF-8"]
    settings.append("PYTHONPYCACHEPREFIX=/var/tmp/bytecode")  # both are read-only there: compiled once, not each time
    options = [argument for setting in settings for argument in ("--env", setting)]
    return run("docker", "exec", "--workdir", "/checkout", *options, CONTAINER, *command, timeout=timeout)


def test_it_is_the_newest_core_on_python_3_13(host: None) -> None:
    version = inside("python3", "-m", "ansible", "playbook", "--version").stdout
    assert "core 2.21." in version
    assert "python version = 3.13." in version


def test_every_playbook_is_understood(host: None) -> None:
    playbooks = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "playbooks").glob("*.yml"))
    checked = inside("python3", "-m", "ansible", "playbook", "-i", "localhost,", "--syntax-check", *playbooks)
    assert checked.returncode == 0, checked.stderr


def test_unit_tests_pass_there(host: None) -> None:
    executable = "--basetemp=/var/tmp/unit"  # unlike /tmp in a container
    tested = inside("python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", executable, "tests/unit", timeout=2400)
    assert tested.returncode == 0, tested.stdout[-6000:]


def test_roles_configure_a_host_and_a_second_run_changes_nothing(host: None) -> None:
    converge = ["python3", "-m", "ansible", "playbook", "-i", "newest1,", "tests/integration/newest_core/converge.yml"]
    first = inside(*converge, timeout=600)
    assert first.returncode == 0, first.stdout[-4000:]
    assert not re.search("DEPRECATION", first.stdout + first.stderr)
    second = inside(*converge, timeout=600)
    assert second.returncode == 0, second.stdout[-4000:]
    assert re.search(r"changed=0\b", second.stdout), second.stdout[-4000:]

    ca = "/usr/local/share/ca-certificates/slipway-internal-ca.crt"
    address = inside("hostname", "-I").stdout.split()[0]
    fetch = ["curl", "--silent", "--show-error", "--include", "--cacert", ca, "--resolve", f"newest1:443:{address}"]
    answer = inside(*fetch, "https://newest1/")
    assert re.match(r"HTTP/\S+ 50[23]", answer.stdout), answer.stdout + answer.stderr
    assert "strict-transport-security" in answer.stdout.lower()
