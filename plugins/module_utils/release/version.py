# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A version of a service: an image's tag, and a directory's name."""

from __future__ import annotations

import re

VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class RequestError(Exception):
    """What is asked for cannot be meant; the message says what to write instead."""


def check_version(version: str) -> str:
    """The version when it can be an image tag and a directory name."""
    if not VERSION.fullmatch(version):
        raise RequestError(
            f"{version!r} cannot be a version: tags have letters, digits, dots, dashes, underscores, at most 128."
        )
    return version
