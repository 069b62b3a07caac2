#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: scan
short_description: Run the scanners that auditors run, and hold what they find to limits
version_added: 0.1.0
description:
  - Runs testssl.sh and sslscan against TLS endpoints, nmap against hosts, and Lynis and debsecan on the host it runs
    on, one after the other, and returns a result for each promise, with the scanners' raw output.
  - Where they are asked for, gixy, sslyze, gitleaks, Trivy or Grype, and requests that attackers begin with, too.
  - What is not installed, does not end, or leaves nothing that can be read, is C(unknown), with the reason. It never
    passes, and never ends the others.
options:
  tls:
    description: TLS endpoints to look at.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name that is asked for.
        type: str
        required: true
      host:
        description: Where it is, a name or an address.
        type: str
        required: true
      port:
        description: Its port.
        type: int
        default: 443
      'on':
        description: What the host is called in results. Empty is O(tls[].host).
        type: str
        default: ""
  ports:
    description: Hosts all of whose TCP ports are tried.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the host is called in results.
        type: str
        required: true
      host:
        description: Where it is, a name or an address.
        type: str
        required: true
      known:
        description: Ports that may be open.
        type: list
        elements: int
        default: []
  compliance:
    description: Whether sslyze compares the endpoints of O(tls) with Mozilla's intermediate configuration.
    type: bool
    default: false
  probes:
    description:
      - Whether the endpoints of O(tls) are sent requests that attackers begin with - for hidden files, with the method
        TRACE, for a page that is not there. Somebody who bans attackers must not ban this host for it.
    type: bool
    default: false
  nginx:
    description: Whole configurations of nginx that gixy looks at.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The host that it is of.
        type: str
        required: true
      dump:
        description: What C(nginx -T) wrote.
        type: str
        default: ""
      problem:
        description: Why it wrote nothing.
        type: str
        default: ""
  images:
    description: Images that O(image_scanner) looks at.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The image, with its tag.
        type: str
        required: true
      subject:
        description: What it is called in results, such as the service's name. Empty is O(images[].name).
        type: str
        default: ""
  image_scanner:
    description: Which scanner looks at O(images).
    type: str
    choices: [trivy, grype]
    default: trivy
  inventory:
    description:
      - Directory in whose files gitleaks looks for secrets in plain text. What git ignores is no finding, and a vault
        is none. The secrets themselves are told nowhere.
    type: path
    default: ""
  programs:
    description: Where C(gixy), C(sslyze), C(gitleaks), C(trivy) and C(grype) are, if in no usual place.
    type: dict
    default: {}
  system:
    description: What this host is called in results, if it is to be audited.
    type: str
    default: ""
  vulnerabilities:
    description:
      - Where the data of Debian's security tracker is, for debsecan - the tracker or a mirror of it, C(http://),
        C(https://) or C(file:///), under which there is a file of the release's name. With O(system), the packages that
        are installed are compared with it. Empty asks for nothing.
      - Data that cannot be had, or that says of itself that it is older than C(data_days), is no pass but C(unknown).
    type: str
    default: ""
  authority:
    description: File with a further authority that testssl.sh trusts, beside the public ones.
    type: path
    default: ""
  limits:
    description:
      - What is asked for - C(grade) (V(A+)) and C(score) (V(96)) of testssl.sh, C(protocols) (V([TLSv1.2, TLSv1.3]))
        that sslscan may find, C(index) (V(80)) of Lynis, C(vulnerable) (V(0)), how many packages may have a
        vulnerability that a fix is there for, C(data_days) (V(7)), how old the data of that may be, and C(critical)
        (V(0)) and C(high) (V(5)), how many vulnerabilities of this severity an image may have.
    type: dict
    default: {}
  waivers:
    description:
      - Findings that somebody answers for. Each has C(finding), the scanner's word for it such as V(cert_revocation),
        V(8080/tcp), V(FIRE-4512) or V(sslyze.ciphers), C(owner), C(reason), C(expires), the last day, and perhaps
        C(subject) with V(*).
      - What is let pass is a warning. One that has ended lets nothing pass.
    type: list
    elements: dict
    default: []
  owners:
    description:
      - Who answers for what is found - C(owner), and perhaps C(finding) and C(subject), which may have V(*). The first
        that fits counts, and its name stands beside the finding.
    type: list
    elements: dict
    default: []
  before:
    description:
      - What the scan before found, the content of its artifact C(findings-….json). With O(system) or O(inventory), what
        is not in it is told as new. Without it nothing is.
    type: list
    elements: str
  timeout:
    description: Seconds after which a scanner is ended.
    type: float
    default: 900
attributes:
  check_mode:
    support: none
    description: It measures and changes nothing, so it is passed over.
  diff_mode:
    support: none
    description: Nothing is changed.
  idempotent:
    support: full
    description: Nothing is changed.
author:
  - The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.evidence
"""

EXAMPLES = r"""
- name: Look at a site from outside
  slipway.ops.scan:
    tls:
      - {name: www.example.com, host: edge1}
    ports:
      - {name: edge1, host: edge1, known: [22, 80, 443]}
    waivers:
      - {finding: cert_revocation, owner: ops, reason: renewed every 60 days, expires: 2027-06-30}
  register: scanned
"""

RETURN = r"""
results:
  description: A result for each promise, as M(slipway.ops.evidence) takes them.
  returned: success
  type: list
  elements: dict
artifacts:
  description: The scanners' raw output, C(name) and C(content), as M(slipway.ops.evidence) takes it.
  returned: success
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import Owner, Waiver, WaiverError
from ansible_collections.slipway.ops.plugins.module_utils.scan.optional import OptionalScan
from ansible_collections.slipway.ops.plugins.module_utils.scan.scanner import LIMITS, limit_problems

INVENTORY = "inventory"  # what it is called in results
TLS = {
    "name": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 443},
    "on": {"type": "str", "default": ""},
}
PORTS = {
    "name": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "known": {"type": "list", "elements": "int", "default": []},
}
NGINX = {
    "name": {"type": "str", "required": True},
    "dump": {"type": "str", "default": "", "no_log": True},
    "problem": {"type": "str", "default": ""},
}
IMAGES = {"name": {"type": "str", "required": True}, "subject": {"type": "str", "default": ""}}


def look(scan: OptionalScan, asked: dict[str, Any]) -> None:
    """What is asked for, the quick before the slow."""
    for place in asked["tls"]:
        where = place["name"], place["host"], place["port"]
        if asked["probes"]:
            scan.probe(*where, place["on"])
        if asked["compliance"]:
            scan.compliance(*where, asked["authority"], place["on"])
        scan.tls(*where, asked["authority"], place["on"])
    for edge in asked["nginx"]:
        scan.nginx(edge["name"], edge["dump"], edge["problem"])
    for place in asked["ports"]:
        scan.ports(place["name"], place["host"], place["known"])
    for image in asked["images"]:
        scan.image(asked["image_scanner"], image["name"], image["subject"] or image["name"])
    if asked["inventory"]:
        scan.secrets(INVENTORY, asked["inventory"])
    if asked["system"]:
        scan.system(asked["system"])
        if asked["vulnerabilities"]:
            scan.vulnerabilities(asked["system"], asked["vulnerabilities"])
    if subject := asked["system"] or (INVENTORY if asked["inventory"] else ""):
        scan.news(subject, asked["before"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "tls": {"type": "list", "elements": "dict", "default": [], "options": TLS},
            "ports": {"type": "list", "elements": "dict", "default": [], "options": PORTS},
            "compliance": {"type": "bool", "default": False},
            "probes": {"type": "bool", "default": False},
            "nginx": {"type": "list", "elements": "dict", "default": [], "options": NGINX},
            "images": {"type": "list", "elements": "dict", "default": [], "options": IMAGES},
            "image_scanner": {"type": "str", "choices": ["trivy", "grype"], "default": "trivy"},
            "inventory": {"type": "path", "default": ""},
            "programs": {"type": "dict", "default": {}},
            "system": {"type": "str", "default": ""},
            "vulnerabilities": {"type": "str", "default": ""},
            "authority": {"type": "path", "default": ""},
            "limits": {"type": "dict", "default": {}},
            "waivers": {"type": "list", "elements": "dict", "default": []},
            "owners": {"type": "list", "elements": "dict", "default": []},
            "before": {"type": "list", "elements": "str"},
            "timeout": {"type": "float", "default": 900},
        },
    )
    asked = module.params
    if unknown := set(asked["limits"]) - set(LIMITS):
        module.fail_json(msg=f"limits has no {', '.join(sorted(unknown))}, but {', '.join(LIMITS)}. Nothing was run.")
    if problems := limit_problems(asked["limits"]):
        module.fail_json(msg=f"limits: {'; '.join(problems)}. Nothing was run.")
    try:
        waivers = [Waiver.read(entry) for entry in asked["waivers"]]
        owners = [Owner.read(entry) for entry in asked["owners"]]
    except WaiverError as error:
        module.fail_json(msg=f"{error}. Nothing was run.")
    scan = OptionalScan(asked["limits"], waivers, asked["timeout"], owners, programs=asked["programs"])
    look(scan, asked)
    module.exit_json(
        changed=False,
        results=[result.as_dict() for result in scan.scanned.results],
        artifacts=[{"name": name, "content": content} for name, content in scan.scanned.artifacts.items()],
    )


if __name__ == "__main__":
    main()
