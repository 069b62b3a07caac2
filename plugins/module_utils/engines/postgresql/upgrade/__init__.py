# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Major upgrades: from what to what, whether a drill allows it, there and back again."""

from __future__ import annotations


class UpgradeError(Exception):
    """Why nothing was upgraded, or how far it came, and what to do."""


class Untouched(UpgradeError):
    """Nothing was upgraded or changed: what served serves as it did."""
