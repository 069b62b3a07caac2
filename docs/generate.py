"""Writes each role's variables, from its argument specs, between the markers of its README; `--check` only compares."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- variables -->", "<!-- /variables -->"


def rows(options: dict[str, dict[str, Any]], prefix: str = "") -> Iterator[str]:
    """One table row per option, its suboptions right below it."""
    for name, option in options.items():
        yield f"| `{prefix}{name}` | {type_of(option)} | {default_of(option)} | {description_of(option)} |"
        brackets = "[]." if option.get("type") == "list" else "."
        yield from rows(option.get("options") or {}, f"{prefix}{name}{brackets}")


def type_of(option: dict[str, Any]) -> str:
    kind = option.get("type", "str")
    return f"{kind} of {option['elements']}" if "elements" in option else kind


def default_of(option: dict[str, Any]) -> str:
    if option.get("required"):
        return "**required**"
    if "default" not in option:
        return ""
    value = option["default"]
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return f"`{one_line(text)}`"


def description_of(option: dict[str, Any]) -> str:
    description = option.get("description", "")
    text = one_line(" ".join(description) if isinstance(description, list) else description)
    choices = option.get("choices")
    return f"{text} One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else text


def one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def variables(role: Path) -> str:
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    sections = []
    for entry_point, spec in specs.items():
        title = "## Variables" if entry_point == "main" else f"## Variables of `{entry_point}`"
        table = [
            "| variable | type | default | what it is |",
            "| --- | --- | --- | --- |",
            *rows(spec.get("options") or {}),
        ]
        sections.append("\n".join([title, "", *table]))
    return "\n\n".join(sections)


def regenerated(role: Path) -> str:
    """The README as it should be."""
    text = (role / "README.md").read_text(encoding="utf-8")
    head, start, rest = text.partition(START)
    _, end, foot = rest.partition(END)
    if not (start and end):
        raise SystemExit(f"roles/{role.name}/README.md lacks the markers {START} and {END}")
    return f"{head}{START}\n\n{variables(role)}\n\n{END}{foot}"


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    for role in sorted(path.parent.parent for path in ROOT.glob("roles/*/meta/argument_specs.yml")):
        readme = role / "README.md"
        text = regenerated(role)
        if text != readme.read_text(encoding="utf-8"):
            stale.append(str(readme.relative_to(ROOT)))
            if not check:
                readme.write_text(text, encoding="utf-8")
    if stale:
        print("\n".join(f"{'stale, run make docs' if check else 'wrote'}: {path}" for path in stale))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
