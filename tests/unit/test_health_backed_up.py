"""The kind `backed_up` of health checks, and what role app asks of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import define
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckUnknown, Finding, worst
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS

UPLOADS = "/srv/slipway/shop/volumes/uploads"


def check(place: Path, *sources: dict[str, Any], paths: tuple[str, ...] = (UPLOADS,)) -> Finding:
    description = place / "files.json"
    if sources:
        description.write_text(json.dumps({"plan": {"sources": sources}}))
    (defined,) = define([{"kind": "backed_up", "paths": list(paths), "description": str(description)}], KINDS)
    return worst(asyncio.run(defined.measure(HttpClient())))


@pytest.mark.parametrize("path", [UPLOADS, f"{UPLOADS}/", "/srv/slipway", "/"])
def test_a_source_of_the_directory_or_of_what_it_is_in_has_it(path: str, tmp_path: Path) -> None:
    assert check(tmp_path, {"paths": [path], "exclude": ["*.part", f"{UPLOADS}/cache"]}).verdict == "pass"


@pytest.mark.parametrize(
    "source",
    [
        {"paths": ["/srv/slipway/shop/volumes/upload"]},
        {"paths": [f"{UPLOADS}/some"]},
        {"paths": ["/srv/slipway"], "exclude": ["/srv/slipway/shop/volumes"]},
        {"paths": ["/srv"], "exclude": [UPLOADS]},
    ],
)
def test_another_source_has_it_not(source: dict[str, Any], tmp_path: Path) -> None:
    found = check(tmp_path, source)
    assert found.verdict == "fail" and found.reason and f"no backup of files has {UPLOADS}:" in found.reason


def test_every_directory_counts_and_two_sources_are_as_good_as_one(tmp_path: Path) -> None:
    both = (UPLOADS, "/srv/slipway/shop/volumes/items")
    assert check(tmp_path, {"paths": [UPLOADS]}, paths=both).measured == 1
    assert check(tmp_path, *({"paths": [path]} for path in both), paths=both).verdict == "pass"


def test_a_host_without_backups_has_none_and_one_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    assert check(tmp_path).verdict == "fail"
    (tmp_path / "files.json").write_text("{")
    with pytest.raises(CheckUnknown, match=r"files\.json cannot be read"):
        check(tmp_path)
