# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""backed_up: directories of this host are among the sources of its file backups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckUnknown, Finding
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient
from ansible_collections.slipway.ops.plugins.module_utils.health.options import absolute_path, option, texts


@dataclass(frozen=True, kw_only=True)
class BackedUp(Check):
    KIND = "backed_up"
    AREA = "data"

    paths: tuple[str, ...] = option(texts)
    description: str = option(absolute_path, "/etc/slipway/backup/files.json")

    @property
    def aspect(self) -> str:
        return self.paths[0]

    @property
    def statement(self) -> str:
        return f"A backup of files has {', '.join(self.paths)}"

    async def measure(self, client: HttpClient) -> list[Finding]:
        sources = self._sources()
        lacking = [path for path in self.paths if not any(_has(source, path) for source in sources)]
        reason = f"no backup of files has {', '.join(lacking)}: name it in restic_sources, of group files"
        return [Finding("fail" if lacking else "pass", len(lacking), limit="= 0", reason=reason if lacking else None)]

    def _sources(self) -> list[Mapping[str, Any]]:
        """None where nothing was set up."""
        try:
            return list(json.loads(Path(self.description).read_text(encoding="utf-8"))["plan"]["sources"])
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckUnknown(f"{self.description} cannot be read ({error}); site.yml writes it anew") from error


def _has(source: Mapping[str, Any], path: str) -> bool:
    """Whether a source takes all of a path; of its patterns only those that name the path or what it is in are seen."""
    return _within(path, source["paths"]) and not _within(path, source.get("exclude", []))


def _within(path: str, places: list[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(place) for place in places)
