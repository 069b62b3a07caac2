# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker Swarm: which hosts are its nodes, and how a service of ``app_services`` runs and changes there."""
