# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the files in ``pages``, one a document, to documents in one language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.model import (
    Block,
    Check,
    Checks,
    Document,
    Entry,
    Items,
    Line,
    Paragraph,
    Section,
    joined,
    marked,
    plain,
)
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.proof import prove
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.system import System, file_name
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.tables import SOURCES
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.texts import Texts

PAGES = Path(__file__).parent / "pages"
KINDS = ("run", "release", "review", "host", "service")
INDEX = "index"
MONTH = 31


@cache
def pages() -> tuple[Mapping[str, Any], ...]:
    """The documents as they are written, in the order of their files' names."""
    return tuple(
        {"id": re.sub(r"^\d+-", "", path.stem)} | yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in sorted(PAGES.glob("*.yml"))
    )


@dataclass(frozen=True)
class _Book:
    system: System
    texts: Texts
    subject: str = ""

    def line(self, text: Any) -> Line:
        return marked(self.texts.of(text), self.names)

    @property
    def names(self) -> Mapping[str, str]:
        """What a text may name; what the inventory does not have is told as missing."""
        first = {group: self.system.hosts_in(group) for group in ("monitor", "backup", "edge")}
        services = list(self.system.services)
        return {
            "system": self.system.name,
            "subject": self.subject,
            "service": self.subject if self.subject in services else services[0] if services else "SERVICE",
            "store": self.system.store or "/var/lib/slipway/evidence",
            "graphs": self.system.graphs,
            **{group: hosts[0] if hosts else group.upper() for group, hosts in first.items()},
        }


def documents(system: System, language: str) -> list[Document]:
    """All documents, the index first."""
    book = _Book(system, Texts(language))
    made = [document for page in pages() for document in _of(book, page)]
    ids = [one.id for one in made]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise ValueError(f"two hosts or services would have one page, {', '.join(twice)}; give one another name")
    return [_index(book, made), *made]


def _of(book: _Book, page: Mapping[str, Any]) -> Iterator[Document]:
    subjects = {"hosts": list(book.system.hosts), "services": list(book.system.services)}.get(
        page.get("each", ""), [""]
    )
    for subject in subjects:
        own = replace(book, subject=subject)
        if page.get("needs") and not any(
            group in host.groups for host in book.system.hosts.values() for group in page["needs"]
        ):
            continue
        yield Document(
            id=f"{page['id']}-{file_name(subject)}" if subject else page["id"],
            title=book.texts.of(page["title"]) + (f": {subject}" if subject else ""),
            lead=own.line(page["lead"]),
            kind=page["kind"],
            sections=tuple(_section(own, section) for section in page["sections"]),
            subject=subject,
        )


def _section(book: _Book, section: Mapping[str, Any]) -> Section:
    blocks = [block for part in section["parts"] for block in _part(book, part)]
    return Section(section["id"], book.texts.of(section["title"]), blocks)


def _part(book: _Book, part: Mapping[str, Any]) -> Sequence[Block]:
    """A part has one of ``text``, ``steps``, ``items``, ``checks`` and ``from``, the name of a table."""
    if "text" in part:
        return [Paragraph(book.line(part["text"]))]
    if "steps" in part or "items" in part:
        return [Items([book.line(one) for one in part.get("steps") or part["items"]], "steps" in part)]
    if "checks" in part:
        return [Checks([_check(book, one) for one in part["checks"]])]
    found = SOURCES[part["from"]](book.system, book.texts, book.subject)
    return found or [Paragraph(book.line(part["none"]))]


def _check(book: _Book, check: Mapping[str, Any]) -> Check:
    """A line that evidence proves (``proof``, ids; ``days``, how old it may be), or that people tick."""
    line = book.line(check["text"])
    if "proof" not in check:
        return Check("hand", line)
    proof = prove(book.system, check["proof"], float(check.get("days", MONTH)))
    words = book.texts.words
    note = words["states"][proof.state]
    if proof.worst:
        note += f": {proof.worst['subject']}: {proof.worst['reason'] or proof.worst['claim']}"
    elif proof.count:
        note += book.texts("proof", count=proof.count, ago=words.ago(proof.oldest))
    return Check(proof.state, line, plain(note))


def _index(book: _Book, made: Sequence[Document]) -> Document:
    texts = book.texts
    kinds = [(kind, [one for one in made if one.kind == kind]) for kind in KINDS]
    sections = [Section(kind, texts["kinds"][kind], [Items([_entry(one) for one in of])]) for kind, of in kinds if of]
    return Document(INDEX, texts["index"], book.line(texts["index_lead"]), "", tuple(sections))


def _entry(document: Document) -> Line:
    if document.subject:
        return plain(document.subject, link=document.id)
    return joined([plain(document.title, link=document.id), document.lead], ". ")


def anchors(document: Document) -> set[str]:
    """Where within it one may be led to."""
    entries = {block.id for section in document.sections for block in section.blocks if isinstance(block, Entry)}
    return {section.id for section in document.sections} | entries


def href(link: str, ending: str) -> str:
    """A link as a page of that ending has it."""
    if re.match(r"https?://", link):
        return link
    document, mark, section = link.partition("#")
    return (f"{document}.{ending}" if document else "") + mark + section
