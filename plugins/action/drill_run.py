# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.drill_run``: asks the host again and again, and prints what it says."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.action.backup_run import ActionModule as Follower


class ActionModule(Follower):
    work = "drill"
