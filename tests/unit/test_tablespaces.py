"""What is removed with a data directory, and what is not."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import tablespaces


def test_a_directory_goes_with_its_files_elsewhere_and_nobody_elses(tmp_path):
    data, space, other = (tmp_path / name for name in ("data", "space", "other"))
    for path in (data / "base", data / "pg_tblspc", space / "PG_17_1/5", space / "PG_15_1/5", other / "PG_17_1"):
        path.mkdir(parents=True)
    (data / "pg_tblspc/16400").symlink_to(space)
    assert tablespaces.places(data) == [space]
    tablespaces.remove_data(data, 17)
    assert not list(data.iterdir()) and [path.name for path in space.iterdir()] == ["PG_15_1"]
    assert (other / "PG_17_1").is_dir()


def test_without_data_there_are_none(tmp_path):
    assert tablespaces.places(tmp_path / "missing") == []
    tablespaces.remove_data(tmp_path / "missing", 17)
