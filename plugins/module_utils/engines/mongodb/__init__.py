# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""MongoDB and what speaks its protocol: dumps that are read back before they count, drills and restores of them."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.data import DataError


class MongodbError(DataError):
    """What an operator must hear: what was tried, what came back, what to do. ``code`` is the server's, 0 without."""

    code: int = 0
