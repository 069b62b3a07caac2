#!/usr/bin/env bash
# ansible-core 2.19.14, ansible-test's validate-modules: `--collection=DIR` is taken, yet fragments of the collection are unknown.
# It looks for the word `--collection` among its arguments before they are parsed, and sets up no collection loader without it.
# Seen: `--collection DIR` has nothing to say of a module with a documentation fragment of its collection; `--collection=DIR`
# ends with AnsibleError: unknown doc_fragment(s).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env && env/bin/pip install -q ansible-core==2.19.14 voluptuous==0.15.2 antsibull-docs-parser==1.0.0
validator=$(env/bin/python -c 'import ansible_test; print(ansible_test.__path__[0])')/_util/controller/sanity/validate-modules/validate.py
place=ansible_collections/demo/small
mkdir -p "$place"/plugins/{modules,doc_fragments}
printf 'namespace: demo\nname: small\nversion: 1.0.0\n' > "$place/galaxy.yml"
cat > "$place/plugins/doc_fragments/shared.py" <<'PY'
class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  place:
    description: Where.
    type: str
"""
PY
cat > "$place/plugins/modules/look.py" <<'PY'
#!/usr/bin/python
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: look
short_description: Look
version_added: 1.0.0
description: Looks.
extends_documentation_fragment: demo.small.shared
author: Somebody (@somebody)
"""
EXAMPLES = r"""
- demo.small.look:
"""
RETURN = r"""#"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    AnsibleModule({"place": {"type": "str"}}).exit_json()


if __name__ == "__main__":
    main()
PY
ln -s "$place/plugins" plugins
validate() {
  ANSIBLE_COLLECTIONS_PATH=$dir PYTHONPATH=$dir env/bin/python "$validator" "$@" --arg-spec plugins/modules/look.py 2>&1 | tail -n 1
}
apart=$(validate --collection "$place") joined=$(validate --collection="$place" || true)
echo "apart: ${apart:-nothing}"; echo "joined: $joined"
[ -z "$apart" ] && [[ $joined == *"unknown doc_fragment(s)"* ]]
