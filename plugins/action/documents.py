# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of ``slipway.ops.documents``: all documents, or none, in a directory that is theirs alone."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory
from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import JobsError
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.files import files_of
from ansible_collections.slipway.ops.plugins.plugin_utils.documents.system import read_system

OURS = ".slipway-documents"


class ActionModule(ActionBase):
    """Runs on the controller alone; no connection is made."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {"directory": {"type": "path", "required": True}, "system": {"type": "dict", "required": True}}
        )
        place = Path(os.environ.get("PWD", ".")) / Path(given["directory"]).expanduser()
        try:
            _refuse_foreign(place)
            # Ansible marks values with their origin; documents are about the values alone.
            files = files_of(read_system(json.loads(json.dumps(given["system"], default=str))))
            if not self._task.check_mode:
                _write(place, files)
        except (ValueError, EvidenceError, JobsError, UnitError) as error:
            raise AnsibleActionFail(f"{error} Nothing was written.") from error
        except OSError as error:
            raise AnsibleActionFail(f"{place}: {error}. Nothing was written.") from error
        return {"changed": False, "directory": str(place), "files": sorted(files)}


def _refuse_foreign(place: Path) -> None:
    if place.exists() and not (place / OURS).exists() and (not place.is_dir() or any(place.iterdir())):
        raise ValueError(
            f"{place} has something that is no document of ours, and nothing is overwritten; give documents_dir."
        )


def _write(place: Path, files: dict[str, str]) -> None:
    """Written beside, then swapped: documents of hosts that are gone go with the former ones."""
    make_directory(place.parent)
    with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as beside:
        made, former = Path(beside) / "made", Path(beside) / "former"
        for path, text in {OURS: "", **files}.items():
            make_directory((made / path).parent)
            (made / path).write_text(text, encoding="utf-8")
            (made / path).chmod(0o640)
        made.chmod(0o750)
        if place.exists():
            shutil.move(place, former)
        made.rename(place)
