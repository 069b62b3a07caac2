"""What an inventory says reaches a command as one word, whatever is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.filter.systemd_word import systemd_word

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
WORD = ("| slipway.ops.systemd_word", "| quote")


@pytest.mark.parametrize(
    ("text", "word"),
    [("/a b", '"/a b"'), ('say "hi"', r'"say \"hi\""'), ("50%", '"50%%"'), ("$HOME", '"$$HOME"'), ("a\\b", r'"a\\b"')],
)
def test_systemd_gets_a_word_as_it_was_written(text: str, word: str) -> None:
    assert systemd_word(text) == word


def open_words(role: Path) -> list[str]:
    """Lines of commands in a role's units with an inventory's text that nothing quotes."""
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    free = {
        name
        for entry in specs.values()
        for name, option in (entry.get("options") or {}).items()
        if option["type"] in ("str", "path", "list", "raw") and not option.get("choices")
    }
    found = []
    for template in sorted(role.glob("templates/**/*.j2")):
        for line in re.findall(r"^Exec\w+=.*(?:\\\n.*)*", template.read_text(encoding="utf-8"), re.MULTILINE):
            for expression in re.findall(r"{{(.*?)}}", line):
                if free & set(re.findall(r"\w+", expression)) and not any(word in expression for word in WORD):
                    found.append(f"{template.name}: {expression.strip()}")
    return found


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_unit_takes_no_text_of_an_inventory_but_as_a_word(role: Path) -> None:
    assert open_words(role) == []
