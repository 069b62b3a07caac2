# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check definitions: what every kind has, and reading a list of them with errors that an operator understands."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from ansible_collections.slipway.ops.plugins.module_utils.core.result import AREAS, Area
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import Finding
from ansible_collections.slipway.ops.plugins.module_utils.health.options import (
    choice,
    option,
    positive_seconds,
    seconds,
    text,
)

if TYPE_CHECKING:
    from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient

SECRET_HEADER = re.compile(r"auth|cookie|token|key|secret|signature", re.IGNORECASE)
_SHOWN_ERRORS = 20
_ID = re.compile(r"[a-z]+(\.[A-Za-z0-9_][A-Za-z0-9_-]*)+")

Options = Mapping[str, Field[Any]]


class DefinitionError(ValueError):
    """Definitions that make no sense; the message names each check, the option, and what is allowed."""


def dotted_id(value: Any) -> str:
    """An id as the evidence store keeps it, which begins with its area."""
    words = text(value)
    if not _ID.fullmatch(words) or words.split(".")[0] not in AREAS:
        raise ValueError(f"{words!r} is not an id such as application.shop.answers; it begins with {', '.join(AREAS)}")
    return words


@dataclass(frozen=True, kw_only=True)
class Check:
    """The options of every kind. A kind adds its own and says what it measures.

    ``deadline``, ``interval`` and ``timeout`` are seconds and stand in for those of the whole run.
    """

    KIND: ClassVar[str]
    AREA: ClassVar[Area]

    name: str | None = option(text, None)
    id: str | None = option(dotted_id, None)
    area: Area | None = option(choice(*AREAS), None)
    subject: str | None = option(text, None)
    claim: str | None = option(text, None)
    severity: str = option(choice("fail", "warn"), "fail")
    deadline: float | None = option(seconds, None)
    interval: float | None = option(positive_seconds, None)
    timeout: float | None = option(positive_seconds, None)

    @property
    def aspect(self) -> str:
        """The last part of the id when the check has no name: what it looks at."""
        raise NotImplementedError

    @property
    def statement(self) -> str:
        """The claim when none is given: one sentence that is true when the check passes."""
        raise NotImplementedError

    @property
    def endpoint(self) -> str | None:
        """What the check speaks of when that is not the host it runs on."""
        return None

    @property
    def weight(self) -> int:
        """How many timeouts one attempt may take."""
        return 1

    async def measure(self, client: HttpClient) -> list[Finding]:
        """One attempt: a finding for each condition; CheckFailed, CheckUnknown or OSError when nothing was found."""
        raise NotImplementedError

    @property
    def measured_area(self) -> Area:
        """The area of the check's results: the first part of a given id."""
        return self.area or (self.id.split(".")[0] if self.id else self.AREA)  # type: ignore[return-value]

    @property
    def identity(self) -> str:
        """The dotted id of the check's results."""
        return self.id or f"{self.measured_area}.{self.KIND}.{slug(self.name or self.aspect)}"


def slug(words: str) -> str:
    """Words as one part of a dotted id."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "root"


def define(definitions: Sequence[Any], kinds: Mapping[str, type[Check]]) -> list[Check]:
    """The checks that a list of mappings describes; every mistake in it at once as one DefinitionError."""
    options = {name: {item.name: item for item in fields(kind)} for name, kind in kinds.items()}
    checks: list[Check] = []
    errors = []
    for position, definition in enumerate(definitions, start=1):
        try:
            checks.append(_define_one(definition, kinds, options))
        except ValueError as error:
            errors.append(f"check {position}{_label(definition)}: {error}")
    if errors:
        more = len(errors) - _SHOWN_ERRORS
        tail = [f"and {more} more"] if more > 0 else []
        raise DefinitionError("\n".join(errors[:_SHOWN_ERRORS] + tail))
    return checks


def secrets(definitions: Iterable[Any], kinds: Mapping[str, type[Check]]) -> set[str]:
    """Every text that must not be shown: passwords, bodies, headers that carry credentials; of bad definitions too."""
    secret = {item.name for kind in kinds.values() for item in fields(kind) if item.metadata["secret"]}
    found: set[str] = set()
    for definition in definitions:
        for name in secret.intersection(definition if isinstance(definition, Mapping) else ()):
            value = definition[name]
            if isinstance(value, Mapping):
                found.update(str(text) for header, text in value.items() if SECRET_HEADER.search(str(header)))
            elif value:
                found.add(str(value))
    return found


def _define_one(definition: Any, kinds: Mapping[str, type[Check]], options: Mapping[str, Options]) -> Check:
    if not isinstance(definition, Mapping):
        raise ValueError(f"{definition!r} is not a mapping such as {{kind: http, url: https://shop.example/health}}")
    if "kind" not in definition:
        raise ValueError(f"it has no kind; kinds are {', '.join(sorted(kinds))}")
    kind = kinds.get(str(definition["kind"]))
    if kind is None:
        raise ValueError(_unknown("kind", str(definition["kind"]), kinds, "kinds are"))
    known = options[kind.KIND]
    values = {}
    for key, value in definition.items():
        if key == "kind" or value is None:
            continue
        if key not in known:
            raise ValueError(_unknown(f"option of {kind.KIND}", str(key), known, "its options are"))
        try:
            values[key] = known[key].metadata["parse"](value)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
    missing = [name for name, item in known.items() if _required(item) and name not in values]
    if missing:
        raise ValueError(f"{kind.KIND} needs {' and '.join(missing)}")
    check = kind(**values)
    if check.id and check.area not in (None, check.id.split(".")[0]):
        raise ValueError(f"the id {check.id} is of another area than {check.area}")
    return check


def _required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _unknown(what: str, word: str, known: Iterable[str], introduction: str) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{word!r} is no {what}; {hint}{introduction} {', '.join(known)}"


def _label(definition: Any) -> str:
    label = definition.get("name") or definition.get("id") if isinstance(definition, Mapping) else None
    return f" ({label})" if label else ""
