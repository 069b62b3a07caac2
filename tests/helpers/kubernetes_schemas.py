"""The Kubernetes API's own JSON schemas, the strict ones, of the kinds that are rendered.

Recorded without descriptions from the package kubernetes-validate 1.37.0, whose wheel ``pip download`` gets:
``python tests/helpers/kubernetes_schemas.py WHEEL 1.31 1.37``.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import jsonschema

RECORDED = Path(__file__).resolve().parents[1] / "unit" / "recorded"
KINDS = {
    "ConfigMap": "core.v1.ConfigMap",
    "Deployment": "apps.v1.Deployment",
    "HorizontalPodAutoscaler": "autoscaling.v2.HorizontalPodAutoscaler",
    "Ingress": "networking.v1.Ingress",
    "Job": "batch.v1.Job",
    "NetworkPolicy": "networking.v1.NetworkPolicy",
    "PodDisruptionBudget": "policy.v1.PodDisruptionBudget",
    "Service": "core.v1.Service",
    "ServiceAccount": "core.v1.ServiceAccount",
}


def versions() -> list[str]:
    """Of the Kubernetes releases that are recorded."""
    return sorted(path.stem.partition("-")[2] for path in RECORDED.glob("kubernetes-*.json"))


def problems(manifest: dict[str, Any], version: str) -> list[str]:
    """What a release of Kubernetes refuses of a manifest, or does not know."""
    definitions = json.loads((RECORDED / f"kubernetes-{version}.json").read_text(encoding="utf-8"))
    schema = {"$ref": f"#/definitions/io.k8s.api.{KINDS[manifest['kind']]}", "definitions": definitions}
    found = jsonschema.Draft7Validator(schema).iter_errors(manifest)
    return [f"{error.json_path}: {error.message}" for error in found]


def _record(wheel: str, version: str) -> None:
    folder = f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict"
    with zipfile.ZipFile(wheel) as package:
        known = json.loads(package.read(f"{folder}/_definitions.json"))["$defs"]
    kept: dict[str, Any] = {}
    open_names = [f"io.k8s.api.{kind}" for kind in KINDS.values()]
    while open_names:
        name = open_names.pop()
        if name not in kept:
            kept[name] = _plain(known[name], open_names)
    lines = [f"{json.dumps(name)}: {json.dumps(kept[name], sort_keys=True)}" for name in sorted(kept)]
    (RECORDED / f"kubernetes-{version}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _plain(node: Any, names: list[str]) -> Any:
    if isinstance(node, list):
        return [_plain(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        names.append(node["$ref"].rpartition("/")[2])
        return {"$ref": f"#/definitions/{names[-1]}"}
    words = {
        key for key in node if key.startswith("x-kubernetes") or (key == "description" and isinstance(node[key], str))
    }
    return {key: _plain(value, names) for key, value in node.items() if key not in words}


if __name__ == "__main__":
    for wanted in sys.argv[2:]:
        _record(sys.argv[1], wanted)
