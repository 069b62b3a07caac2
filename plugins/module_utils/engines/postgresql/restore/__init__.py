# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restores: where to, from which backup, and over what."""

from __future__ import annotations


class RestoreError(Exception):
    """Why nothing was restored, or how far it came, and what to do."""
