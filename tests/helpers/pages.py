"""Pages as a browser reads them, and their links."""

from __future__ import annotations

import html.parser
import posixpath

VOID = {"meta", "br", "img", "input", "link", "hr"}


class Reader(html.parser.HTMLParser):
    """What a browser would make of the page: elements, ids, links, text; unbalanced tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.attributes: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def resolved(path: str, link: str) -> tuple[str, str]:
    """The page that a link of a page leads to, and the place in it."""
    target, _, anchor = link.partition("#")
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if target else path, anchor
