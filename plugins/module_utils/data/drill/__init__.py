# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restore drills: a backup is restored beside its source, started, compared and measured, whatever the engine."""

from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.data import DataError

CONFIGURATION = "/etc/slipway/drill"  # <engine>.json
REPORTS = "/var/lib/slipway/drill"  # <engine>.json, the last one


class DrillError(DataError):
    """Why a drill failed, in one sentence for an operator."""
