#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate
short_description: Keep all certificates of a host, brought or from an internal authority, in one call
version_added: 0.1.0
description:
  - Installs C(key.pem), C(fullchain.pem) (certificate and intermediates) and C(chain.pem) (what it is verified with)
    under O(root)/NAME.
  - Certificates an operator brings are checked first; the key must belong to the certificate, it must be in date, cover
    its names and have an unbroken chain. When one of the list is bad nothing of the list is changed.
  - For internal certificates that are missing, near their end, for other names or of another authority, the key is made
    on the host and never leaves it; the module returns signing requests. Sign them where the authority is and call the
    module again with O(signed).
options:
  root:
    description: Directory that holds one directory per certificate.
    type: path
    default: /etc/slipway/certificates
  certificates:
    description: The certificates this host has.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the certificate's directory.
        type: str
        required: true
      names:
        description: DNS names and addresses it must be for. Required with O(certificates[].source=internal).
        type: list
        elements: str
        default: []
      source:
        description:
          - Whether the internal authority signs it, the operator brings it, or an ACME authority signs it.
          - With V(acme) the internal authority keeps its place, so that servers start. What the host has got from the
            ACME authority itself is left as it is.
        type: str
        choices: [internal, files, acme]
        default: internal
      certificate:
        description: With O(certificates[].source=files) the PEM certificate, optionally followed by its intermediates.
        type: str
        default: ""
      key:
        description: With O(certificates[].source=files) the PEM private key without pass phrase.
        type: str
        default: ""
      chain:
        description: PEM intermediates of a brought certificate that O(certificates[].certificate) does not hold.
        type: str
        default: ""
      owner:
        description: Owner of the files.
        type: str
        default: root
      group:
        description: Group of the files.
        type: str
        default: root
      mode:
        description:
          - Octal mode of C(key.pem), in quotes, such as V('0640'). One that has others read or write it is refused.
          - The certificates are 0644.
        type: raw
        default: "0600"
      reload:
        description: What has to read it again. The module reloads nothing; as long as C(reload.due) stands beside the
          certificate, it is among RV(changed_names). Who has reloaded removes that file.
        type: list
        elements: str
        default: []
      profile:
        description: Not used by the module; lets the role's list pass unchanged.
        type: str
        default: ""
      dns:
        description: Not used by the module, likewise.
        type: dict
        default: {}
  authority:
    description: PEM certificate of the internal authority.
    type: str
    default: ""
  signed:
    description: What the authority signed for the requests of an earlier call, PEM by certificate name.
    type: dict
    default: {}
  renew_below:
    description:
      - Days left below which an internal certificate is renewed and a brought one gives a warning.
      - V(0) is a third of its lifetime, and half of a lifetime under ten days.
    type: float
    default: 0
requirements:
  - python3-cryptography on the host
attributes:
  check_mode:
    support: full
    description: Requests are returned and nothing is written.
  diff_mode:
    support: full
    description: Names of the certificates that change; never their content.
  idempotent:
    support: full
    description: While all certificates are good nothing changes.
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: Keep the certificates of this host
  slipway.ops.certificate:
    certificates:
      - {name: www, names: [www.example.com]}
      - name: shop
        source: files
        names: [shop.example.com]
        certificate: "{{ lookup('ansible.builtin.file', 'shop.pem') }}"
        key: "{{ vault_shop_key }}"
    authority: "{{ internal_ca }}"
  register: result
"""

RETURN = r"""
requests:
  description: What the authority must sign.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name of the certificate., type: str}
    names: {description: Names it is for., type: list}
    csr: {description: PEM signing request., type: str}
    reason: {description: Why it is needed., type: str}
changed_names:
  description: Certificates that were installed or need signing.
  returned: success
  type: list
  elements: str
certificates:
  description: What is installed.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name of the certificate., type: str}
    source: {description: 'C(internal), C(files) or C(acme).', type: str}
    names: {description: Names it is for., type: list}
    not_after: {description: End of validity in ISO 8601 UTC., type: str}
    days_left: {description: Days until then., type: float}
"""

import datetime
import traceback
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from ansible_collections.slipway.ops.plugins.module_utils.certificates.certificate import CertificateError
    from ansible_collections.slipway.ops.plugins.module_utils.certificates.store import Store, Wanted
    from ansible_collections.slipway.ops.plugins.module_utils.certificates.wishes import key_mode

    CRYPTOGRAPHY_ERROR = None
except ImportError:
    CRYPTOGRAPHY_ERROR = traceback.format_exc()

CERTIFICATE = {
    "name": {"type": "str", "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
    "source": {"type": "str", "choices": ["internal", "files", "acme"], "default": "internal"},
    "certificate": {"type": "str", "default": ""},
    "key": {"type": "str", "default": "", "no_log": True},
    "chain": {"type": "str", "default": ""},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "raw", "default": "0600"},
    "reload": {"type": "list", "elements": "str", "default": []},
    "profile": {"type": "str", "default": ""},
    "dns": {"type": "dict", "default": {}, "no_log": True},
}


def wanted(item: dict) -> Wanted:
    fields = {name: value for name, value in item.items() if name not in ("mode", "profile", "dns")}
    try:
        return Wanted(**fields, mode=key_mode(item["mode"]))
    except ValueError as error:
        raise CertificateError(f"Certificate {item['name']}: {error}. Nothing was changed.") from error


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/etc/slipway/certificates"},
            "certificates": {"type": "list", "elements": "dict", "required": True, "options": CERTIFICATE},
            "authority": {"type": "str", "default": ""},
            "signed": {"type": "dict", "default": {}},
            "renew_below": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    if CRYPTOGRAPHY_ERROR:
        module.fail_json(msg=missing_required_lib("cryptography"), exception=CRYPTOGRAPHY_ERROR)
    now = datetime.datetime.now(datetime.timezone.utc)
    store = Store(Path(module.params["root"]), now, module.params["renew_below"], module.check_mode)
    try:
        items = [wanted(item) for item in module.params["certificates"]]
        outcome = store.apply(items, module.params["authority"], module.params["signed"])
    except (CertificateError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(
        changed=bool(outcome.changed),
        changed_names=outcome.changed,
        requests=outcome.requests,
        certificates=outcome.certificates,
        diff={"before": "", "after": "".join(f"certificate {name} is new\n" for name in outcome.changed)},
    )


if __name__ == "__main__":
    main()
