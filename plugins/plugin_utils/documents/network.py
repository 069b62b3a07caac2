# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may come to whom on which port: a map, and the same as a table. Hosts whose doors are the same stand as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.net.firewall import ANYWHERE, Door
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.inventory import table, to_host
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.model import (
    Block,
    Paragraph,
    Picture,
    code,
    joined,
    plain,
)
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.system import System
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.texts import Texts
from markupsafe import Markup

NAMED = 3  # hosts that are named of those which stand as one
ROW, GAP, TOP = 20, 16, 14
WIDTH, FROM, TO = 760, 170, 430  # of the picture, and where lines begin and end
LETTERS = 22


@dataclass(frozen=True)
class House:
    """Hosts with the same doors."""

    hosts: tuple[str, ...]
    doors: tuple[Door, ...]

    @property
    def title(self) -> str:
        """Who they are, in one line."""
        more = f" +{len(self.hosts) - NAMED}" if len(self.hosts) > NAMED else ""
        return ", ".join(self.hosts[:NAMED]) + more


def houses(system: System) -> list[House]:
    """Every door of every host."""
    alike: dict[tuple[Door, ...], list[str]] = {}
    for host in system.hosts.values():
        if host.doors:
            alike.setdefault(tuple(sorted(set(host.doors), key=_by_number)), []).append(host.name)
    return [House(tuple(hosts), doors) for doors, hosts in alike.items()]


def network(system: System, texts: Texts, subject: str) -> list[Block]:
    """The map and its table; nothing, where no door is known."""
    found = houses(system)
    rows = [
        [
            joined([to_host(host) for host in house.hosts]),
            code(_port(door)),
            plain(door.name),
            plain(", ".join(texts["anywhere"] if one == ANYWHERE else one for one in door.others)),
        ]
        for house in found
        for door in house.doors
    ]
    columns = ["hosts", "port", "name", "who_comes"]
    unknown = [to_host(host.name) for host in system.hosts.values() if not host.doors]
    missing = [Paragraph((*plain(texts["no_doors"]), *joined(unknown)))] if unknown else []
    return [Picture(_drawn(found, texts)), *missing, *table(texts, columns, rows)] if found else []


def _port(door: Door) -> str:
    return door.port if door.protocol == "tcp" else f"{door.port}/{door.protocol}"


def _by_number(door: Door) -> tuple[int, str, str]:
    number = door.port.partition("-")[0]
    return int(number) if number.isdigit() else 0, door.port, door.name


def _drawn(found: Sequence[House], texts: Texts) -> Markup:
    """Lines from who comes, on the left, to the doors of each house, on the right."""
    rows: dict[tuple[int, int], float] = {}
    y: float = TOP
    right = Markup("")
    for number, house in enumerate(found):
        right += _text("net-house", TO + 12, y + 4, house.title, LETTERS * 2)
        for place, door in enumerate(house.doors):
            y += ROW
            rows[number, place] = y
            right += Markup('<circle class="net-door" cx="{}" cy="{:.0f}" r="3"/>').format(TO, y)
            right += _text("net-port", TO + 12, y + 4, f"{_port(door)}  {door.name}", LETTERS * 2)
        y += ROW + GAP
    height = y
    ends: dict[str, list[float]] = {}
    for number, house in enumerate(found):
        for place, door in enumerate(house.doors):
            for one in door.others:
                ends.setdefault(one, []).append(rows[number, place])
    places = _places(ends, height)
    lines, left = Markup(""), Markup("")
    for name, stand in places.items():
        shown = texts["anywhere"] if name == ANYWHERE else name
        left += _text("net-from", FROM - 10, stand + 4, shown, LETTERS)
        for end in ends[name]:
            lines += Markup('<path class="{}" d="M{} {:.0f}C{} {:.0f} {} {:.0f} {} {:.0f}"/>').format(
                "net-open" if name == ANYWHERE else "net-line", FROM, stand, FROM + 130, stand, TO - 130, end, TO, end
            )
    return Markup('<svg class="net" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, max(height, TOP + ROW * len(places)), texts["network_map"], lines + left + right
    )


def _places(ends: Mapping[str, Sequence[float]], height: float) -> dict[str, float]:
    """Where each of those who come stands: in the order of the middle of their doors, so that few lines cross."""
    order = sorted(ends, key=lambda name: (sum(ends[name]) / len(ends[name]), name))
    step = max(ROW, height / max(len(order), 1))
    return {name: TOP + step * (number + 0.5) - ROW / 2 for number, name in enumerate(order)}


def _text(kind: str, x: float, y: float, text: str, letters: int) -> Markup:
    short = text if len(text) <= letters else f"{text[: letters - 1]}…"
    return Markup('<text class="{}" x="{:.0f}" y="{:.0f}">{}</text>').format(kind, x, y, short)
