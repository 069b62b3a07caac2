"""A pinned release is there whole or not at all; what was half unpacked or swapped never counts as installed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.host import archive
from ansible_collections.slipway.ops.plugins.module_utils.host.archive import ArchiveError, unpack, unpacked
from playbook import SETTINGS

SUM = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


def release(path: Path, **files: str) -> Path:
    """An archive as makers publish them: everything in one directory that the archive only implies."""
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"tool-1.0/bin/{name}")
            entry.size, entry.mode = len(text), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    return path


def names(path: Path) -> set[str]:
    return {str(found.relative_to(path)) for found in path.rglob("*")}


def test_all_of_it_is_there_and_known_by_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "opt" / "tool"
    unpack(release(tmp_path / "a.tgz", run="#!"), path, SUM, strip=1)
    assert names(path) == {"bin", "bin/run", ".slipway-release"} and unpacked(path) == SUM
    assert stat.S_IMODE(path.stat().st_mode) == 0o755 and os.access(path / "bin/run", os.X_OK)


def test_another_release_leaves_nothing_of_the_former(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    unpack(release(tmp_path / "a.tgz", old="1"), path, SUM, strip=1)
    unpack(release(tmp_path / "b.tgz", new="2"), path, OTHER, strip=1)
    assert names(path) == {"bin", "bin/new", ".slipway-release"} and unpacked(path) == OTHER
    assert names(tmp_path) == {"a.tgz", "b.tgz", "tool"} | {f"tool/{name}" for name in names(path)}


def test_what_cannot_be_unpacked_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    unpack(release(tmp_path / "a.tgz", old="1"), path, SUM, strip=1)
    cut = tmp_path / "b.tgz"
    cut.write_bytes(release(tmp_path / "b.tgz", new="2" * 10_000).read_bytes()[:-30])
    with pytest.raises(ArchiveError, match="cannot be unpacked: "):
        unpack(cut, path, OTHER, strip=1)
    with pytest.raises(ArchiveError, match="nothing below the first 4 parts"):
        unpack(release(tmp_path / "c.tgz", new="2"), path, OTHER, strip=4)
    assert unpacked(path) == SUM and names(path) == {"bin", "bin/old", ".slipway-release"}
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.tgz", "b.tgz", "c.tgz", "tool"]


@pytest.mark.parametrize("last", ["_sync", "_exchange"])
def test_a_run_that_is_killed_leaves_no_release_that_passes_for_whole(
    last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = tmp_path / "tool", release(tmp_path / "a.tgz", run="#!")
    worker = os.fork()
    if not worker:
        monkeypatch.setattr(archive, last, lambda *_: os._exit(9))
        unpack(whole, path, SUM, strip=1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 9
    assert unpacked(path) is None and len(list(tmp_path.iterdir())) == 2, "what it had begun is beside"
    unpack(whole, path, SUM, strip=1)
    assert unpacked(path) == SUM and sorted(found.name for found in tmp_path.iterdir()) == ["a.tgz", "tool"]


def module(tmp_path: Path, *options: str, **arguments: object) -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        [
            *("ansible", "localhost", "--connection", "local", "--module-name", "slipway.ops.pinned_release", *options),
            *("--args", json.dumps(arguments)),
        ],
        cwd=tmp_path,
        env=os.environ | SETTINGS | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_STDOUT_CALLBACK": "minimal"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout.partition("=> ")[2])


def test_the_module_fetches_once_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    file = release(tmp_path / "a.tgz", run="#!")
    checksum = "sha512:" + hashlib.sha512(file.read_bytes()).hexdigest()
    given = {"url": file.as_uri(), "checksum": checksum, "path": str(tmp_path / "opt/tool")}

    code, said = module(tmp_path, "--check", **given)
    assert (code, said["changed"], (tmp_path / "opt").exists()) == (0, True, False)
    code, said = module(tmp_path, **given)
    assert (code, said["changed"], unpacked(tmp_path / "opt/tool")) == (0, True, checksum)
    code, said = module(tmp_path, **given)
    assert (code, said["changed"]) == (0, False)

    code, said = module(tmp_path, **given | {"checksum": OTHER})
    assert (
        code == 2 and f"{file.as_uri()} is sha256:" in str(said["msg"]) and f"{OTHER} was expected" in str(said["msg"])
    )
    code, said = module(tmp_path, **given | {"checksum": OTHER, "url": (tmp_path / "none.tgz").as_uri()})
    assert (
        code == 2 and "none.tgz cannot be fetched: " in str(said["msg"]) and "Nothing was changed" in str(said["msg"])
    )
    code, said = module(tmp_path, **given | {"checksum": "md5:1"})
    assert code == 2 and "wanted: sha256:" in str(said["msg"])
    assert unpacked(tmp_path / "opt/tool") == checksum
