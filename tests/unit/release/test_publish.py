from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release.publish import problems

USERS = [{"username": "publisher", "password": "secret"}]
SHOP = {"name": "shop:2.0.0", "image": "shop:2.0.0"}


def test_what_can_be_published_has_no_problem(tmp_path: Path) -> None:
    archive = tmp_path / "shop.tar"
    archive.touch()
    images = [SHOP, {"name": "r/shop:1", "archive": str(archive)}]
    assert problems(images, "monitor1:5000", USERS) == []


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "Say what to publish with publish_images, such as -e"),
        ("shop:2.0.0", "publish_images is a list"),
        (["shop:2.0.0"], "'shop:2.0.0' of publish_images is no image"),
        ([{"image": "shop:2.0.0"}], "The name '' of publish_images is not repository:version"),
        ([SHOP | {"name": "shop"}], "The name 'shop' of publish_images is not repository:version"),
        ([{"name": "shop:1"}], "shop:1 of publish_images has no source"),
        ([SHOP | {"archive": "shop.tar"}], "has archive and image; it needs one"),
        ([SHOP | {"imgae": "x"}], "has no option imgae"),
        (
            [{"name": "shop:1", "archive": "/nowhere/shop.tar"}],
            "there is no archive /nowhere/shop.tar on the controller",
        ),
    ],
)
def test_what_cannot_be_published_is_said(images: Any, words: str) -> None:
    (told,) = problems(images, "monitor1:5000", USERS)
    assert words in told


@pytest.mark.parametrize("users", [[], None, "publisher", [{"username": "publisher"}]])
def test_who_pushes_and_where_to_is_needed(users: Any) -> None:
    assert "registry_users" in problems([SHOP], "r", users)[0]
    assert "registry_name" in problems([SHOP], "", USERS)[0]
