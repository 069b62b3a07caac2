#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: alert_channels
short_description: Send a real test alert through each of Alertmanager's channels
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Gives Alertmanager a test alert for each channel and waits until the channel has taken it - the mail server a mail,
    the webhook a request. Alertmanager tries again while the time lasts.
  - A channel that has taken one gets none again until the configuration changes. One that has not is tried by each run.
options:
  channels:
    description: Names of the channels, which are Alertmanager's receivers.
    type: list
    elements: str
    required: true
  configuration:
    description: Directory of Alertmanager's configuration. What changes in it has every channel tested again.
    type: path
    required: true
  subject:
    description: Whom the result speaks of, such as the inventory's name of the host.
    type: str
    required: true
  url:
    description: Where Alertmanager answers.
    type: str
    default: http://127.0.0.1:9093
  state_file:
    description: Where is kept which channel has taken a test of which configuration.
    type: path
    default: /var/lib/slipway/alert-channels.json
  timeout:
    description: Seconds until a channel must have taken it.
    type: float
    default: 30
attributes:
  check_mode:
    support: full
    description: Sends nothing. A channel that would get a test is a change.
  diff_mode:
    support: none
    description: There is no text to compare.
  idempotent:
    support: full
    description: A channel that has taken a test of this configuration gets no other.
seealso:
  - module: slipway.ops.alert_delivery
  - module: slipway.ops.evidence
"""

EXAMPLES = r"""
- name: Have each channel prove itself
  slipway.ops.alert_channels:
    channels: [team, mail]
    subject: "{{ inventory_hostname }}"
    configuration: /etc/prometheus/alertmanager
  register: tested

- name: Record it
  slipway.ops.evidence:
    run: "{{ slipway_run }}"
    records: "{{ tested.results }}"
"""

RETURN = r"""
results:
  description: Whether all channels have taken their test, as M(slipway.ops.evidence) takes it; empty when none was.
  type: list
  elements: dict
  returned: success
refused:
  description: For each channel that has not taken its test a sentence with the reason that Alertmanager gave.
  type: list
  elements: str
  returned: success
"""

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.delivery import (
    Alertmanager,
    DeliveryError,
    Waited,
    test,
)

SOURCE = "alert_channels 0.1.0"


def main() -> None:
    """Read the options, test, answer."""
    module = AnsibleModule(
        argument_spec={
            "channels": {"type": "list", "elements": "str", "required": True},
            "configuration": {"type": "path", "required": True},
            "subject": {"type": "str", "required": True},
            "url": {"type": "str", "default": "http://127.0.0.1:9093"},
            "state_file": {"type": "path", "default": "/var/lib/slipway/alert-channels.json"},
            "timeout": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    options = module.params
    state = Path(options["state_file"])
    try:
        digest = _digest(Path(options["configuration"]))
        proven = _proven(state)
        todo = [name for name in options["channels"] if proven.get(name) != digest]
        if module.check_mode or not todo:
            module.exit_json(changed=bool(todo), results=[], refused=[])
        at = timestamp()
        waited = test(Alertmanager(options["url"]), todo, options["timeout"])
        kept = {name: proven[name] for name in options["channels"] if name in proven and name not in waited.missing}
        _keep(state, kept | dict.fromkeys(waited.seconds, digest))
    except DeliveryError as error:
        module.fail_json(msg=f"{error}. journalctl -u prometheus-alertmanager says how it is.")
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: {error.strerror}. Does the task become root?")
    refused = [f"{name}: {_reason(name, at)}" for name in waited.missing]
    module.exit_json(changed=True, results=[_result(options, waited, refused, at)], refused=refused)


def _digest(directory: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        found.update(str(path).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _proven(state: Path) -> dict[str, str]:
    try:
        kept = json.loads(state.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}  # each channel is tested again
    return kept if isinstance(kept, dict) else {}


def _keep(state: Path, proven: dict[str, str]) -> None:
    make_directory(state.parent)
    written = state.with_name(f".{state.name}.new")
    written.write_text(json.dumps(proven), encoding="utf-8")
    written.replace(state)


def _reason(channel: str, since: str) -> str:
    """The last words of Alertmanager's journal about the channel, for people."""
    argv = [
        "journalctl",
        "--unit=prometheus-alertmanager",
        f"--since={since[:19].replace('T', ' ')} UTC",
        "--output=cat",
    ]
    try:
        told = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        told = ""
    errors = re.findall(rf'receiver={re.escape(channel)} .*\berr="((?:[^"\\]|\\.)*)"', told)
    return errors[-1].replace('\\"', '"') if errors else "nothing was taken, and Alertmanager's journal says nothing"


def _result(options: dict[str, Any], waited: Waited, refused: list[str], at: str) -> dict[str, Any]:
    slowest = round(max(waited.seconds.values(), default=0.0), 2)
    return Result(
        id="monitoring.channels.deliver",
        area="monitoring",
        subject=options["subject"],
        claim=f"{', '.join(options['channels'])} take a test alert",
        verdict="fail" if refused else "pass",
        measured=None if refused else slowest,
        unit="s",
        limit=f"<= {options['timeout']:g}",
        at=at,
        took=options["timeout"] if refused else slowest,
        source=SOURCE,
        reason="; ".join(refused) or None,
    ).as_dict()


if __name__ == "__main__":
    main()
