# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a document is made of, before it is HTML or Markdown. Only our own texts are read for marks; what an inventory
or evidence says becomes a span as it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

_MARKS = re.compile(r"`(?P<code>[^`]+)`|\[(?P<label>[^\]]+)\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Span:
    """A piece of a line. ``link`` is a URL, or a document's id with ``#section``; ``state`` a verdict."""

    text: str
    code: bool = False
    link: str = ""
    state: str = ""


Line = tuple[Span, ...]


@dataclass(frozen=True)
class Paragraph:
    line: Line


@dataclass(frozen=True)
class Items:
    """Lines below each other; with numbers, when one comes after the other."""

    lines: Sequence[Line]
    numbered: bool = False


@dataclass(frozen=True)
class Check:
    """A line of a checklist: what evidence says of it, or nothing (``hand``), when people tick it."""

    state: str
    line: Line
    note: Line = ()


@dataclass(frozen=True)
class Checks:
    checks: Sequence[Check]


@dataclass(frozen=True)
class Table:
    columns: Sequence[str]
    rows: Sequence[Sequence[Line]]


@dataclass(frozen=True)
class Entry:
    """A thing with a name and facts, such as an alert."""

    id: str
    title: str
    state: str
    facts: Sequence[tuple[str, Line]]


@dataclass(frozen=True)
class Picture:
    """Inline SVG; what it shows is also told in words beside it, which Markdown has alone."""

    svg: Markup


Block = Paragraph | Items | Checks | Table | Entry | Picture


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """``kind`` is the group in which the index lists it; ``subject`` the host or service that it is about."""

    id: str
    title: str
    lead: Line
    kind: str
    sections: Sequence[Section] = field(default_factory=tuple)
    subject: str = ""


def plain(text: object, **marks: str) -> Line:
    """A line of somebody else's text."""
    return (Span(str(text), link=marks.get("link", ""), state=marks.get("state", "")),)


def code(text: object) -> Line:
    return (Span(str(text), code=True),)


def joined(lines: Sequence[Line], between: str = ", ") -> Line:
    """Lines as one."""
    found: list[Span] = []
    for number, line in enumerate(lines):
        found += [Span(between), *line] if number else line
    return tuple(found)


def marked(text: str, names: Mapping[str, str]) -> Line:
    """A line of our own text, with ``code`` in backticks, ``[links](where)`` and ``{names}``."""
    found: list[Span] = []
    end = 0
    for mark in _MARKS.finditer(text):
        found.append(Span(text[end : mark.start()].format_map(names)))
        if mark["code"]:
            found.append(Span(mark["code"].format_map(names), code=True))
        else:
            found.append(Span(mark["label"].format_map(names), link=mark["target"]))
        end = mark.end()
    found.append(Span(text[end:].format_map(names)))
    return tuple(span for span in found if span.text)
