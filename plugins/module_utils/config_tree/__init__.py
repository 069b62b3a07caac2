# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A program's configuration files as one transaction.

``model`` what is wanted, ``plan`` what differs, ``diff`` how that is told, ``stage`` the new set beside the old one,
``namespace`` and ``checker`` the program's verdict on it, ``steps`` and ``journal`` the swap that survives a kill,
``transaction`` all of it in order.
"""
