# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with a variable's value, held against its argument spec: one sentence each, which names the place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.slipway.ops.plugins.module_utils.inventory.variable_names import nearest

Option = Mapping[str, Any]

_WORDS = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "path": "a path",
    "str": "text",
}
_SECRET = re.compile(r"pass|secret|key|token|cipher", re.IGNORECASE)
_SHOWN = 40  # characters of a value


def type_problems(place: str, option: Option, value: Any) -> Iterator[str]:
    """``place`` is how an operator finds the value, such as ``app_services[0].port``."""
    kind, elements = option.get("type", "str"), option.get("elements")
    if value is None and not option.get("required"):
        return
    accepted, read = _read(option, value)
    # Ansible makes text of a mapping, and a list of any text.
    if kind in ("str", "path") and isinstance(value, Mapping | list | tuple):
        accepted = False
    if kind == "list" and elements == "dict" and not isinstance(value, list | tuple):
        accepted = False
    if not accepted:
        yield f"{place} is {_show(place, option, value)}, wanted is {_wanted(option)}"
    elif kind == "list" and elements:
        item = {key: option[key] for key in ("options", "choices") if key in option} | {"type": elements}
        for number, entry in enumerate(read):
            yield from type_problems(f"{place}[{number}]", item, entry)
    elif kind == "dict" and option.get("options"):
        yield from _suboption_problems(place, option["options"], read)


def _suboption_problems(place: str, options: Mapping[str, Option], value: Mapping[str, Any]) -> Iterator[str]:
    known = {alias for name, option in options.items() for alias in [name, *option.get("aliases", [])]}
    for key in value:
        if key not in known:
            near = nearest(str(key), known)
            yield f"{place}.{key} is no option{f', did you mean {near}?' if near else ''}"
    for name, option in options.items():
        given = [key for key in [name, *option.get("aliases", [])] if key in value]
        if given:
            yield from type_problems(f"{place}.{given[0]}", option, value[given[0]])
        elif option.get("required"):
            wanted = f", wanted is {_wanted(option)}" if option.get("type") != "raw" else ""
            yield f"{place}.{name} is missing{wanted}"


def _read(option: Option, value: Any) -> tuple[bool, Any]:
    """Whether Ansible accepts the value by itself, and as what."""
    spec = {key: option[key] for key in ("type", "choices") if key in option}
    result = ArgumentSpecValidator({"value": spec}).validate({"value": value})
    return not result.error_messages, result.validated_parameters.get("value")


def _wanted(option: Option) -> str:
    kind, elements = option.get("type", "str"), option.get("elements")
    if option.get("choices"):
        words = "one of " + ", ".join(str(choice) for choice in option["choices"])
        return f"a list of {words}" if kind == "list" else words
    if kind == "list" and elements:
        return f"a list of {'mappings' if elements == 'dict' else _WORDS.get(elements, elements)}"
    return _WORDS.get(kind, str(kind))


def _show(place: str, option: Option, value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if option.get("no_log") or _SECRET.search(place):
        return "another value"
    text = repr(value) if not isinstance(value, str) else f"'{value}'"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…'"
