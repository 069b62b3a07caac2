# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PostgreSQL: settings for a host, access rules, data directories, the running server, and what is in it."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.data import DataError


class PostgresqlError(DataError):
    """What an operator must hear: what was tried, what came back, what to do."""
