# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backups of any engine in one shape: how old, how large, when verified, when drilled, against their limits."""
