# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A member of an etcd cluster."""

from __future__ import annotations


class EtcdError(Exception):
    """What an operator should read: what was tried, what came back, what to do."""
