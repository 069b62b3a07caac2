# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Scanners that no role installs: which there are, where they are looked for, and how one has them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping

from ansible_collections.slipway.ops.plugins.module_utils.host.run import environment

_VENV = (
    "{tool} is not installed on the host that scans; have it there by python3 -m venv /opt/scanners && "
    "/opt/scanners/bin/pip install {package}, and name /opt/scanners/bin/{tool} in scan_programs.{tool}"
)
_IMAGES = (
    "{tool} is not installed where the image is, nor on the host that scans; install it as its makers say, and name it "
    "in scan_programs.{tool} where it is in no usual place"
)
ABSENT = {
    "gixy": _VENV.format(tool="gixy", package="gixy-ng"),
    "sslyze": _VENV.format(tool="sslyze", package="sslyze"),
    "gitleaks": "gitleaks is not installed on the controller; Debian 13 has it as a package, and where it is in no "
    "usual place, scan_programs.gitleaks names it",
    "trivy": _IMAGES.format(tool="trivy"),
    "grype": _IMAGES.format(tool="grype"),
}


def find(tools: Iterable[str], named: Mapping[str, str]) -> dict[str, str]:
    """Where each is, by its name or by what the inventory names in its place; those that are nowhere are left out."""
    places = f"{environment()['PATH']}:{os.environ.get('PATH', '')}"
    found = {tool: shutil.which(named.get(tool) or tool, path=places) for tool in tools}
    return {tool: path for tool, path in found.items() if path}
