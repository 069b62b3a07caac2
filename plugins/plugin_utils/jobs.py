# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The standard list of jobs, as role jobs has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

STANDARD = Path(__file__).resolve().parents[2] / "roles/jobs/files/jobs.yml"


def entries() -> list[dict[str, Any]]:
    """Each with the group whose hosts it needs, if any."""
    return list(yaml.safe_load(STANDARD.read_text(encoding="utf-8")))
