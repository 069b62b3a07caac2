# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documents as files: HTML that needs nothing else, and Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import jinja2
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.book import documents, href
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.evidence import damage
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.model import (
    Block,
    Check,
    Checks,
    Document,
    Entry,
    Items,
    Line,
    Paragraph,
    Picture,
    Section,
    Span,
    Table,
)
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.system import System
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.texts import LANGUAGES, Texts
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.report import moment
from markupsafe import Markup

HERE = Path(__file__).parent
READINESS = HERE.with_name("readiness")
# Of what Markdown reads as marks; a line's own marks are made after.
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def files_of(system: System) -> dict[str, str]:
    """Every file by its path: each document in each language, as HTML and as Markdown."""
    files = {}
    for language in LANGUAGES:
        texts = Texts(language)
        for document in documents(system, language):
            files[f"{language}/{document.id}.html"] = html(system, document, texts)
            files[f"{language}/{document.id}.md"] = markdown(system, document, texts)
    return files


def html(system: System, document: Document, texts: Texts) -> str:
    return (
        _environment()
        .get_template("document.html.j2")
        .render(
            document=document,
            damage=damage(system, texts),
            system=system,
            t=texts,
            languages={one: name for one, name in LANGUAGES.items() if one != texts.language},
            at=moment(system.assessment["at"]),
            style=Markup(_style()),  # noqa: S704 (our own files)
        )
    )


@cache
def _style() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in (READINESS / "report.css", HERE / "document.css"))


@cache
def _environment() -> jinja2.Environment:
    # Everything is escaped unless it is Markup, and only the style sheets are that.
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([HERE, READINESS]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(href=lambda link: href(link, "html"), kind=lambda block: type(block).__name__.lower())
    return made


def markdown(system: System, document: Document, texts: Texts) -> str:
    top = [f"# {_escaped(document.title)}", _line(document.lead)]
    if document.id != "index":
        top.append(f"[{texts['index']}](index.md)")
    parts = [*top, *(_block(one) for one in damage(system, texts))]
    for section in document.sections:
        parts += _section(section)
    parts.append(
        f"---\n\n{_escaped(texts.words('as_of', at=moment(system.assessment['at'])))} · {_escaped(system.name)}"
    )
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f'<a id="{section.id}"></a>\n\n## {_escaped(section.title)}'
    yield from filter(None, map(_block, section.blocks))


def _block(block: Block) -> str:
    if isinstance(block, Picture):
        return ""
    if isinstance(block, Paragraph):
        return _line(block.line)
    if isinstance(block, Items):
        return "\n".join(
            f"{f'{number}.' if block.numbered else '-'} {_line(one)}" for number, one in enumerate(block.lines, 1)
        )
    if isinstance(block, Checks):
        return "\n".join(_check(one) for one in block.checks)
    if isinstance(block, Table):
        return _table(block)
    return _entry(block)


def _check(check: Check) -> str:
    done = "x" if check.state in ("pass", "warn") else " "
    return f"- [{done}] {_line(check.line)}" + (f" — {_line(check.note)}" if check.note else "")


def _table(table: Table) -> str:
    head = f"| {' | '.join(map(_escaped, table.columns))} |\n|{' --- |' * len(table.columns)}"
    return "\n".join([head, *(f"| {' | '.join(_line(cell) for cell in row)} |" for row in table.rows)])


def _entry(entry: Entry) -> str:
    facts = "\n".join(f"- **{_escaped(name)}**: {_line(line)}" for name, line in entry.facts)
    return f'<a id="{entry.id}"></a>\n\n### {_escaped(entry.title)}\n\n{facts}'


def _line(line: Line) -> str:
    return "".join(map(_span, line))


def _span(span: Span) -> str:
    text = _code(span.text) if span.code else _escaped(span.text)
    return f"[{text}]({href(span.link, 'md')})" if span.link else text


def _code(text: str) -> str:
    """Code may hold anything but the end of its line, or of its cell."""
    ticks = "`" * (1 + max((len(found) for found in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{_flat(text).replace('|', chr(92) + '|')}{pad}{ticks}"


def _escaped(text: str) -> str:
    return _MARKS.sub(r"\\\1", _flat(text))


def _flat(text: str) -> str:
    return " ".join(str(text).split("\n")) if "\n" in str(text) else str(text)
