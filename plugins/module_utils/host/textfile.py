# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Textfiles of the node exporter, in Prometheus' text format.

A metric has one writer: of two files with one name and another HELP or TYPE, the node exporter drops the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.host.files import replace

Sample = tuple[Mapping[str, str], float]
"""Labels and value."""
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def family(name: str, kind: str, explanation: str, samples: Iterable[Sample]) -> str:
    """One metric, ``kind`` being gauge or counter; nothing when it has no samples."""
    found = [f"{name}{_labels(labels)} {value!r}" for labels, value in samples]
    return "\n".join([f"# HELP {name} {explanation}", f"# TYPE {name} {kind}", *found, ""]) if found else ""


def publish(directory: Path, file: str, families: Iterable[str]) -> None:
    """Writes a textfile, whose age tells when. A host without a node exporter has no directory, and no reader."""
    if directory.is_dir():
        replace(directory / file, "".join(families), 0o644)


def _labels(labels: Mapping[str, str]) -> str:
    pairs = (f'{name}="{str(value).translate(_ESCAPES)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}" if labels else ""
