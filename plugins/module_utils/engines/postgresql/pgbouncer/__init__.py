# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""pgBouncer: its administration, the running pooler, pauses for a switchover, and who tells it what users have."""

from __future__ import annotations


class PgbouncerError(Exception):
    """What an operator must hear: what was tried, what came back, what to do."""
