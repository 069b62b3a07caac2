# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Releases of a service: what a service is, its Compose project, what is true on the hosts, and what to do next."""
