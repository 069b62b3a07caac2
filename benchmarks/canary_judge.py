#!/usr/bin/env python3
"""The canary's judge beside two judges with fixed limits, on the same simulated pairs: how often each condemns.

Equal releases should be let go, regressions found. The tuned limits know the service's usual 95th percentile, which no
limit of an inventory does; they do not know what hour it is.
"""

from __future__ import annotations

import argparse
import sys

from common import ROOT, print_table

sys.path[:0] = [str(ROOT / "collections"), str(ROOT / "tests" / "helpers")]

from ansible_collections.slipway.ops.plugins.module_utils.release.judge import judge
from simulated_canaries import Pair, by_limits, pairs

CASES = {"equal": {}, "2 % errors": {"errors": 2.0}, "30 % slower": {"slower": 30.0}}


def statistical(pair: Pair) -> bool:
    """By the judge."""
    return judge(pair.canary, pair.baseline).verdict != "fail"


def fixed(pair: Pair) -> bool:
    """By the limits that a deploy watches by default."""
    return by_limits(pair.canary, 1.0, 1000)


def tuned(pair: Pair) -> bool:
    """By limits 15 % above what is usual for this very service."""
    return by_limits(pair.canary, 1.0, 1.15 * pair.usual)


def main() -> None:
    """One row for each case, size and share."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=1000)
    options.add_argument("--requests", type=int, nargs="+", default=[500, 1000, 1500, 3000])
    options.add_argument("--shares", type=float, nargs="+", default=[0.5, 0.1])
    asked = options.parse_args()
    rows = [("canary", "its requests", "its share", "judge", "default limits", "tuned limits")]
    for share in asked.shares:
        for requests in asked.requests:
            for name, how in CASES.items():
                made = list(pairs(asked.pairs, requests, share=share, **how))
                told = [
                    f"{100 * sum(not judged(pair) for pair in made) / len(made):.1f} %"
                    for judged in (statistical, fixed, tuned)
                ]
                rows.append((name, str(requests), f"{share:.0%}", *told))
    print_table(rows)


if __name__ == "__main__":
    main()
