# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changes as Ansible's diff: a file's content, and in words what happens to owner, group and mode."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import Directory, File
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.plan import Change, Live

LARGEST = 100 * 1024  # bytes of content that a diff shows


def make_diff(changes: list[Change]) -> list[dict[str, str]]:
    """The diff of all changes, in their order."""
    return [entry for change in changes for entry in _entries(change)]


def _entries(change: Change) -> list[dict[str, str]]:
    before, after = _content(change.live), _wanted_content(change)
    entries = []
    if before != after:
        entries.append(_content_entry(change, before, after))
    if (told := _access_in_words(change)) is not None:
        entries.append({"prepared": f"{change.path}: {told}\n"})
    return entries


def _content_entry(change: Change, before: bytes | None, after: bytes | None) -> dict[str, str]:
    if change.secret:
        return {"prepared": f"{change.path}: (secret) changed\n"}
    if change.wanted is None and not _readable_by_all(change.live):
        return {"prepared": f"{change.path}: removed (content not shown: not readable by all)\n"}
    if not _can_be_shown(before, after):
        return {"prepared": f"{change.path}: {_size(before)} become {_size(after)} (content not shown)\n"}
    return {
        "before_header": change.path + (" (absent)" if before is None else ""),
        "after_header": change.path + (" (removed)" if after is None else ""),
        "before": _text(before),
        "after": _text(after),
    }


def _access_in_words(change: Change) -> str | None:
    if change.wanted is None or (isinstance(change.wanted, File) and change.wanted.link is not None):
        return None
    before, after = change.live.access, change.wanted.access
    if before == after:
        return None
    if before is None or change.live.kind == "link":
        return f"{'directory ' if change.is_directory else ''}made as {after}"
    return f"{before} becomes {after}"


def _readable_by_all(live: Live) -> bool:
    return live.kind == "link" or (live.access is not None and bool(live.access.mode & 0o004))


def _content(live: Live) -> bytes | None:
    if live.link is not None:
        return f"link to {live.link}\n".encode()
    return live.content if live.kind == "file" else None


def _wanted_content(change: Change) -> bytes | None:
    if change.wanted is None or isinstance(change.wanted, Directory):
        return None
    if change.wanted.link is not None:
        return f"link to {change.wanted.link}\n".encode()
    return change.wanted.content


def _size(content: bytes | None) -> str:
    return "no content" if content is None else f"{len(content)} bytes"


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace")


def _can_be_shown(*contents: bytes | None) -> bool:
    return all(len(content or b"") <= LARGEST and b"\0" not in (content or b"") for content in contents)
