# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The blocks of a PEM text, with Unix line ends, without what tools write between them."""

from __future__ import annotations

import re

_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)


class PemError(ValueError):
    """A text that does not hold what it should; the message says what is there."""


def certificates(pem: str) -> list[str]:
    """The single certificates of a text, in its order, each once."""
    return list(dict.fromkeys(block for label, block in _blocks(pem) if label == "CERTIFICATE"))


def private_key(pem: str) -> str:
    """The first private key of a text; empty when it holds none."""
    return next((block for label, block in _blocks(pem) if label.endswith("PRIVATE KEY")), "")


def authority(name: str, pem: str) -> str:
    """The one certificate that a trusted authority is."""
    found = certificates(pem)
    if len(found) != 1:
        has = f"{len(found)} PEM certificates: give each a name of its own" if found else "no PEM certificate"
        raise PemError(f"The authority {name!r} holds {has}. Nothing was changed.")
    return found[0] + "\n"


def _blocks(pem: str) -> list[tuple[str, str]]:
    text = re.sub(r"\r\n?", "\n", pem)
    return [(found[1], found[0]) for found in _BLOCK.finditer(text)]
