"""ansible-test's validate-modules: what a module documents is what it takes, and its documentation renders.

`ansible-test sanity` itself fetches its requirements at each run; here its validator runs on the locked ones.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import ansible_test
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
VALIDATOR = Path(ansible_test.__path__[0], "_util/controller/sanity/validate-modules/validate.py")
COLLECTION = "ansible_collections/slipway/ops"
# Said in another place, on purpose: an action plugin takes them from the files; another module documents them.
ELSEWHERE = re.compile(
    r"config_tree\.py.* '(src|content|vars|template)' found in files"
    r"|release_begin\.py.*('probe'|found in probe)"
)


def complaints(plugin_type: str) -> list[str]:
    plugins = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(f"plugins/{plugin_type}/*.py"))
    collections = str(ROOT / "collections")
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    options = ["--collection", COLLECTION, "--collection-version", version, "--arg-spec"]
    kind = plugin_type.removesuffix("s")  # its own parser wants --collection and its value apart
    done = subprocess.run(
        [sys.executable, VALIDATOR, *options, f"--plugin-type={kind}", *plugins],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": collections, "PYTHONPATH": collections},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not done.stderr, done.stderr
    return [line for line in done.stdout.splitlines() if line.strip() and not ELSEWHERE.search(line)]


@pytest.mark.parametrize("plugin_type", ["modules", "lookup", "callback"])
def test_documentation_is_what_the_plugin_takes(plugin_type: str) -> None:
    assert complaints(plugin_type) == []
