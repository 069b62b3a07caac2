# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a system costs a month, from the prices that its inventory says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def costs(prices: Mapping[str, Any], others: Mapping[str, Any], currency: str) -> dict[str, Any] | None:
    """Hosts by their price and what else is paid, the dearest first; None where nothing has a price.

    ``prices`` are those of all hosts, empty for one that has none: such hosts are named, for the sum is without them.
    """
    hosts: dict[float, list[str]] = {}
    for host, price in prices.items():
        if price not in ("", None):
            hosts.setdefault(_price(host, price), []).append(host)
    rows = [_row(", ".join(names), len(names), price) for price, names in hosts.items()]
    rows += [_row(name, 1, _price(name, price)) for name, price in others.items()]
    if not rows:
        return None
    return {
        "currency": currency,
        "rows": sorted(rows, key=lambda row: (-row["month"], row["name"])),
        "month": round(sum(row["month"] for row in rows), 2),
        "without": [host for host, price in prices.items() if price in ("", None)],
    }


def _row(name: str, count: int, each: float) -> dict[str, Any]:
    return {"name": name, "count": count, "each": each, "month": round(count * each, 2)}


def _price(name: str, price: Any) -> float:
    try:
        number = float(price)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf or isinstance(price, bool):
        raise ValueError(f"the price of {name} is {price!r}, not a number of money a month such as 42.50")
    return number
