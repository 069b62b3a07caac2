# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changes as Ansible's diff: one entry per file's content, one per change of owner, group or mode."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import Directory, File
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.plan import Change, Live

LARGEST = 100 * 1024  # bytes of content that a diff shows


def make_diff(changes: list[Change]) -> list[dict[str, str]]:
    """The diff of all changes, in their order."""
    return [entry for change in changes for entry in _entries(change)]


def _entries(change: Change) -> list[dict[str, str]]:
    entries = []
    before, after = _content(change.live), _wanted_content(change)
    if change.secret:
        if before != after:
            entries.append({"prepared": f"{change.path}: (secret) changed\n"})
    elif before != after:
        entries.append(
            _entry(change, _text(before), _text(after))
            if _can_be_shown(before, after)
            else {"prepared": f"{change.path}: {len(after or b'')} bytes replace {len(before or b'')} (not shown)\n"}
        )
    access_before = str(change.live.access or "")
    access_after = str(change.wanted.access) if change.wanted else ""
    is_link = isinstance(change.wanted, File) and change.wanted.link is not None
    if change.wanted and access_before != access_after and not is_link:
        entries.append(_entry(change, access_before, access_after))
    return entries


def _entry(change: Change, before: str, after: str) -> dict[str, str]:
    return {
        "before_header": change.path + (" (absent)" if change.live.kind == "absent" else ""),
        "after_header": change.path + (" (removed)" if change.wanted is None else ""),
        "before": before,
        "after": after,
    }


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


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace")


def _can_be_shown(*contents: bytes | None) -> bool:
    return all(len(content or b"") <= LARGEST and b"\0" not in (content or b"") for content in contents)
