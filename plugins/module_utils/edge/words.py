# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Any value as one word of nginx's or HAProxy's configuration, which reads back as that value."""

from __future__ import annotations

import re

_BARE = re.compile(r"[][A-Za-z0-9_./:=@%+,*~^?&-][][A-Za-z0-9_./:=@%+,*~^?&$-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class WordError(ValueError):
    """A value that cannot stand in a configuration; the message says why."""


def nginx_word(value: object) -> str:
    """A word of nginx's. A variable in it is still one; nginx has no way to write a dollar that is none."""
    text = _text(value)
    if _BARE.fullmatch(text):
        return text
    # \\t, \\n and \\r would be read as what they stand for elsewhere, so a backslash is always two.
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def haproxy_word(value: object) -> str:
    """A word of HAProxy's, as a shell would quote it; no variable of the environment is looked up."""
    text = _text(value)
    return text if _BARE.fullmatch(text) and "$" not in text else "'" + text.replace("'", "'\\''") + "'"


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise WordError(f"{value!r} is not a text; write it in quotes")
    if found := _CONTROL.search(str(value)):
        raise WordError(f"{value!r} has {found[0]!r} in it: it must be one line without control characters")
    return str(value)
