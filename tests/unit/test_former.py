"""What restores replaced stays until somebody has it back or lets it go."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.data.former import begin, discard, end


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "former"


def keep(place: Path, content: str) -> None:
    begin(place, whole=(place / "whole").exists())
    place.mkdir()
    (place / "whole").write_text(content)


def test_a_second_restore_keeps_what_the_first_replaced_and_each_comes_back_in_turn(place: Path) -> None:
    for content in ("of the users", "of the wrong backup", "of the next"):
        keep(place, content)
    assert (place / "whole").read_text() == "of the next"
    end(place)
    assert (place / "whole").read_text() == "of the wrong backup"
    end(place)
    assert (place / "whole").read_text() == "of the users"
    keep(place, "again")
    end(place)
    assert (place / "whole").read_text() == "of the users"
    end(place)
    assert list(place.parent.iterdir()) == []


def test_what_a_killed_run_began_is_no_former_data(place: Path) -> None:
    keep(place, "of the users")
    begin(place, whole=True)
    place.mkdir()  # killed here
    keep(place, "of the next")
    end(place)
    assert (place / "whole").read_text() == "of the users"


def test_all_of_it_is_let_go_at_once(place: Path) -> None:
    keep(place, "a")
    keep(place, "b")
    (place.parent / "former.txt").write_text("another's")
    assert discard(place) is True and discard(place) is False
    assert [one.name for one in place.parent.iterdir()] == ["former.txt"]
