# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A prober that sends traffic to a service while something else happens to it.

`control` starts and stops it as a process of its own; `prober` is that process; `report` says what it saw.
What the process needs is packed into a zip that outlives Ansible's module, so those modules import each other
relatively, and else only the standard library.
"""
