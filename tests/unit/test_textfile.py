"""Metrics that hosts write: whole, readable, and of one writer."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.host import files, textfile
from playbook import ROOT

WRITER = "plugins/module_utils/host/textfile.py"


def test_labels_say_what_they_said_before() -> None:
    text = textfile.family("a_total", "counter", "Things.", [({"name": 'a "b" \\ c\nd'}, 2), ({}, 0.5)])
    assert (
        text == '# HELP a_total Things.\n# TYPE a_total counter\na_total{name="a \\"b\\" \\\\ c\\nd"} 2\na_total 0.5\n'
    )


def test_a_metric_without_samples_is_not_there() -> None:
    assert textfile.family("a", "gauge", "Things.", []) == ""


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here; the scenario prometheus has it")
def test_prometheus_reads_it() -> None:
    text = textfile.family("a_seconds", "gauge", "Things.", [({"name": 'x"\\\n'}, 1.5), ({"name": "y"}, 1e-7)])
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_host_without_a_node_exporter_gets_no_file(tmp_path: Path) -> None:
    textfile.publish(tmp_path / "none", "a.prom", ["a 1\n"])
    assert list(tmp_path.iterdir()) == []


def test_the_age_of_a_textfile_tells_when_somebody_looked_though_nothing_changed(tmp_path: Path) -> None:
    """Alerts on a writer that stopped ask for it."""
    textfile.publish(tmp_path, "a.prom", ["a 1\n"])
    os.utime(tmp_path / "a.prom", (0, 0))
    textfile.publish(tmp_path, "a.prom", ["a 1\n"])
    assert (tmp_path / "a.prom").stat().st_mtime > 0
    assert (tmp_path / "a.prom").stat().st_mode & 0o777 == 0o644


def test_there_is_one_writer_of_metrics() -> None:
    """Each had its own, and only one of seven escaped its labels."""
    texts = {path: path.read_text() for path in (ROOT / "plugins/module_utils").rglob("*.py")}
    assert [str(path.relative_to(ROOT)) for path, text in texts.items() if "# TYPE {" in text] == [WRITER]


def test_a_file_is_the_old_one_when_its_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    files.replace(path, "old", 0o640)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.replace(path, "new")
    assert path.read_text() == "old" and [one.name for one in tmp_path.iterdir()] == ["state.json"]


def test_a_file_is_never_more_open_than_wanted(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files.replace(tmp_path / "secret", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
