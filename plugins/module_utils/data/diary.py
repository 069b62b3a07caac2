# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run says, on standard output and in a file that playbooks follow; the file's last line has the results."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory


class Diary:
    """Of one run of a service's instance."""

    def __init__(self, instance: str, directory: str) -> None:
        place = Path(directory)
        make_directory(place, 0o750)
        self._file = (place / f"{instance}.jsonl").open("w", encoding="utf-8", buffering=1)
        self._write(run=os.environ.get("INVOCATION_ID", str(os.getpid())))

    def tell(self, line: str) -> None:
        print(line, flush=True)
        self._write(line=line)

    def end(self, found: list[Result]) -> None:
        self._write(results=[result.as_dict() for result in found])
        self._file.close()

    def _write(self, **entry: Any) -> None:
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
