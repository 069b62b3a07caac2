# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a host shows an ACME authority that a name is its own: by a file that nginx serves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory


class ChallengeError(Exception):
    """Why the answer to a challenge could not be put in its place."""


class Solver(Protocol):
    """``kind`` is the challenge's type; ``placed`` has the answer in its place while the authority looks."""

    @property
    def kind(self) -> str: ...

    def placed(self, name: str, token: str, answer: str) -> contextlib.AbstractContextManager[None]: ...


@dataclass(frozen=True)
class WebRoot:
    """HTTP-01: the directory whose ``.well-known/acme-challenge/`` is served for the name, without TLS."""

    directory: Path
    kind: str = "http-01"

    @contextlib.contextmanager
    def placed(self, name: str, token: str, answer: str) -> Iterator[None]:
        if not token.replace("-", "").replace("_", "").isalnum():  # it becomes a file's name
            raise ChallengeError(f"the authority's token for {name} is no token")
        place = self.directory / ".well-known" / "acme-challenge"
        make_directory(place)
        path = place / token
        path.write_text(answer, encoding="ascii")
        path.chmod(0o644)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
