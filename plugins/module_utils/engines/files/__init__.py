# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of a host: snapshots of them in a restic repository, drills and restores of them."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.data import DataError


class FilesError(DataError):
    """What an operator must hear: what was tried, what came back, what to do."""
