# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Types of credentials that AWX does not have by itself: fields that people fill in by hand, and where jobs find them.

Values are AWX's alone. Machine, Vault and Source Control are AWX's own types and need none of this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.awx.sync import Wanted

KEYS = {"name", "description", "fields", "env", "extra_vars"}
FIELD = {"id", "label", "secret", "help_text"}
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# AWX refuses these in the environment of a job, which they would change.
_TAKEN = re.compile(r"(ANSIBLE_|AWX_|TOWER_|PATH$|HOME$|PYTHON|VIRTUAL_ENV$)")


class CredentialTypeError(ValueError):
    """A type that cannot be meant; the message names it."""


def wanted(types: Iterable[Mapping[str, Any]]) -> list[Wanted]:
    """The types as AWX's objects; raises :class:`CredentialTypeError`."""
    return [_wanted(one) for one in types]


def _wanted(one: Mapping[str, Any]) -> Wanted:
    name = str(one.get("name") or "")
    if not name:
        raise CredentialTypeError("a type of credentials has no name.")
    if unknown := sorted(one.keys() - KEYS):
        raise CredentialTypeError(f"the type {name} has {', '.join(unknown)}; it may have {', '.join(sorted(KEYS))}.")
    fields = [_field(name, field) for field in one.get("fields") or []]
    if not fields:
        raise CredentialTypeError(f"the type {name} has no fields, so nobody could fill it in.")
    known = [field["id"] for field in fields]
    injected = {kind: _injected(name, kind, one.get(kind) or {}, known) for kind in ("env", "extra_vars")}
    if not any(injected.values()):
        raise CredentialTypeError(f"the type {name} has neither env nor extra_vars, so no job would find its values.")
    inputs = {"fields": fields, "required": known}
    return Wanted(
        "credential_types",
        name,
        {"name": name, "kind": "cloud"},
        {
            "description": str(one.get("description") or ""),
            "inputs": inputs,
            "injectors": {kind: names for kind, names in injected.items() if names},
        },
    )


def _field(name: str, field: Mapping[str, Any]) -> dict[str, Any]:
    identifier = str(field.get("id") or "")
    if not _WORD.fullmatch(identifier):
        raise CredentialTypeError(f"the type {name} has a field {identifier!r}; its id is a word, such as token.")
    if unknown := sorted(field.keys() - FIELD):
        raise CredentialTypeError(
            f"field {identifier} of the type {name} has {', '.join(unknown)}; values are filled in in AWX alone."
        )
    told = {"id": identifier, "label": str(field.get("label") or identifier), "type": "string"}
    told |= {"help_text": str(field["help_text"])} if field.get("help_text") else {}
    return told | ({"secret": True} if field.get("secret", True) else {})


def _injected(name: str, kind: str, names: Mapping[str, Any], fields: list[str]) -> dict[str, str]:
    for variable, field in names.items():
        if not _WORD.fullmatch(str(variable)) or (kind == "env" and _TAKEN.match(str(variable))):
            raise CredentialTypeError(f"the type {name} sets {kind} {variable}, which AWX does not take.")
        if field not in fields:
            raise CredentialTypeError(
                f"the type {name} sets {variable} to {field!r}; its fields are {', '.join(fields)}."
            )
    return {str(variable): f"{{{{ {field} }}}}" for variable, field in names.items()}
