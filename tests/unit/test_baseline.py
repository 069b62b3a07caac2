"""What decides on a host what role baseline does there."""

from __future__ import annotations

import getpass

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.host import baseline


@pytest.mark.parametrize(
    ("locale", "known", "there"),
    [
        ("de_DE.UTF-8", ["C", "C.utf8", "de_DE.utf8"], True),
        ("de_DE.UTF-8", ["de_DE.iso88591", "de_AT.utf8"], False),
        ("de_DE.ISO-8859-1", ["de_DE.iso88591"], True),
        ("de_DE.UTF-8@euro", ["de_DE.utf8"], False),
        ("C.UTF-8", [], False),
    ],
)
def test_a_locale_is_known_in_any_spelling(locale, known, there):
    assert baseline.has_locale(locale, known) is there


def test_a_host_without_the_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(baseline, "PLACES", (tmp_path / "units", tmp_path))
    (tmp_path / "locale-gen").touch()
    seen = baseline.look("de_DE.UTF-8", ["locale-gen", "chrony.service"])
    assert (seen.container, seen.has_locale, seen.installed) == ("", False, ["locale-gen"])
    assert "root" in seen.groups
    assert getpass.getuser() in seen.accounts


def test_an_interrupted_dpkg_is_known_by_its_numbered_journal(tmp_path):
    assert not baseline.dpkg_interrupted(tmp_path / "none")
    (tmp_path / "tmp.i").touch()
    assert not baseline.dpkg_interrupted(tmp_path)
    (tmp_path / "0007").touch()
    assert baseline.dpkg_interrupted(tmp_path)


def test_administrators_of_earlier_runs_are_read_from_names_and_rules(tmp_path):
    names, rules = tmp_path / "administrators", tmp_path / "sudoers"
    names.write_text("kim\nlee\n")
    rules.write_text("# Written by Slipway\nDefaults use_pty\n\nkim ALL=(ALL:ALL) ALL\npark ALL=(ALL) NOPASSWD: ALL\n")
    assert baseline.named([names, rules, tmp_path / "missing"]) == ["kim", "lee", "park"]
