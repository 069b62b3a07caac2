# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL behind Patroni: its configuration, its members, and the switch from one leader to another."""

from __future__ import annotations


class PatroniError(Exception):
    """What an operator should read: what was tried, what came back, what to do."""
