"""Rule files with one thing changed each: a threshold, its comparison, or a `for`. Tests that pass prove too little."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# What a number is compared with, not what is in the brackets of a label or a range.
COMPARED = re.compile(r"(?P<operator>>=|<=|==|!=|>|<) (?P<number>(?:\d+\.)?\d+)(?![\d.\w])")
OTHER_WAY = {">": "<", "<": ">", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
NEARBY = 0.05  # of a threshold: this near its test has to look; one beside 0, since counts are whole
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Mutant:
    """An alert, what was changed of it, and the whole rule file with that."""

    alert: str
    change: str
    rules: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.alert}: {self.change}"


def naming(tests: dict[str, Any], alert: str) -> dict[str, Any]:
    """Of a file of tests those in which the alert fires: the quick way to kill its mutants."""
    return tests | {"tests": [test for test in tests["tests"] if f'alertname="{alert}"' in str(test)]}


def mutants(rules: dict[str, Any]) -> Iterator[Mutant]:
    for at, group in enumerate(rules["groups"]):
        for number, rule in enumerate(group["rules"]):
            for field, value in _changes(rule):
                changed = copy.deepcopy(rules)
                changed["groups"][at]["rules"][number][field] = value
                yield Mutant(rule["alert"], f"{field} is {' '.join(str(value).split())}", changed)


def _changes(rule: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for expression in _expressions(rule["expr"]):
        yield "expr", expression
    yield from (("for", duration) for duration in _durations(rule.get("for", "0s")))


def _expressions(text: str) -> Iterator[str]:
    for found in COMPARED.finditer(text):
        number = float(found["number"])
        step = number * NEARBY or 1.0
        others = [repr(round(number + step, 6)), repr(round(number - step, 6))]
        yield from (_put(text, found.span("number"), other) for other in others)
        yield _put(text, found.span("operator"), OTHER_WAY[found["operator"]])


def _durations(text: str) -> list[str]:
    """None, and twice as long; one minute where there is none."""
    number, unit = re.fullmatch(r"(\d+)([smhd])", text).groups()  # type: ignore[union-attr]
    seconds = int(number) * SECONDS[unit]
    return ["0s", f"{2 * seconds}s"] if seconds else ["1m"]


def _put(text: str, span: tuple[int, int], other: str) -> str:
    return text[: span[0]] + other + text[span[1] :]
