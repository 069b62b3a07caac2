#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: notices
short_description: Keep what users are told of planned work on a service
version_added: 0.2.0
author: The Slipway authors (@slipway)
description:
  - Keeps a service's notices on an edge, of what is planned, goes on, and is over, and returns them for a page.
options:
  service:
    description: The service's name.
    type: str
    required: true
  state:
    description:
      - V(seen) only returns what is known.
      - V(planned) has a notice of work from O(at) to O(until). What is planned for an overlapping time makes way.
      - V(cancelled) calls off what is planned.
      - V(begun) has the work of O(run) under way. With O(hours) it fails where users were not told so long before,
        unless there is an O(override). How early they were told is left as evidence.
      - V(done) and V(failed) end the work of O(run).
    type: str
    choices: [seen, planned, cancelled, begun, done, failed]
    default: seen
  at:
    description: When it begins, seconds since the epoch; for V(planned).
    type: float
  until:
    description: When it is over, seconds since the epoch; for V(planned).
    type: float
  text:
    description: What users should know of it; for V(planned).
    type: str
    default: ""
  hours:
    description: How long before users must have been told, for V(begun); 0 asks for nothing.
    type: float
    default: 0
  override:
    description: Why it begins although users were not told so long before.
    type: str
    default: ""
  run:
    description: Identifier of the run; for V(begun), V(done) and V(failed).
    type: str
    default: ""
  version:
    description: Version that it is about; for V(begun), V(done) and V(failed).
    type: str
    default: ""
  keep_days:
    description: How long what is over is kept.
    type: float
    default: 90
  directory:
    description: Where notices are kept, a file for each service.
    type: path
    default: /var/lib/slipway/notices
attributes:
  check_mode:
    support: full
    description: Keeps nothing; returns what would be kept.
  diff_mode:
    support: none
    description: See RV(notices).
  idempotent:
    support: full
    description: What is planned, or over, already is left as it is.
"""

EXAMPLES = r"""
- name: Tell of the release on Thursday
  slipway.ops.notices:
    service: shop
    state: planned
    at: 1796230800
    until: 1796238000
    text: Payments are away for a minute.
"""

RETURN = r"""
news:
  description: Whether this host did not know it before.
  returned: success
  type: bool
notices:
  description: Every notice that is kept, by its beginning.
  returned: success
  type: list
  elements: dict
  contains:
    at: {description: When it begins., type: float}
    until: {description: When it is over at the latest., type: float}
    text: {description: What users should know of it., type: str}
    told: {description: When it was planned; 0 for work that nobody was told of., type: float}
    state: {description: "planned, begun, done, failed or cancelled.", type: str}
    changed: {description: When its state changed last., type: float}
    version: {description: "The version that it is about, once that is known.", type: str}
    run: {description: The run that began it., type: str}
"""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.evidence.spool import Spool
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace
from ansible_collections.slipway.ops.plugins.module_utils.release import notices
from ansible_collections.slipway.ops.plugins.module_utils.release.notices import Notice

ARGUMENTS = {
    "service": {"type": "str", "required": True},
    "state": {
        "type": "str",
        "choices": ["seen", "planned", "cancelled", "begun", "done", "failed"],
        "default": "seen",
    },
    "at": {"type": "float"},
    "until": {"type": "float"},
    "text": {"type": "str", "default": ""},
    "hours": {"type": "float", "default": 0},
    "override": {"type": "str", "default": ""},
    "run": {"type": "str", "default": ""},
    "version": {"type": "str", "default": ""},
    "keep_days": {"type": "float", "default": 90},
    "directory": {"type": "path", "default": "/var/lib/slipway/notices"},
}


def known(path: Path) -> list[Notice]:
    """What is kept; a file that cannot be read is an error, for silence would pass for "nobody was told"."""
    return notices.read(json.loads(path.read_text(encoding="utf-8"))["notices"]) if path.exists() else []


def then(params: dict[str, Any], before: list[Notice], now: float) -> list[Notice]:
    """What is known after this."""
    state, about = params["state"], (params["run"], params["version"])
    if state == "planned":
        return notices.planned(before, Notice(params["at"], params["until"], params["text"]), now)
    if state == "cancelled":
        return notices.cancelled(before, now)
    if state == "begun":
        return notices.begun(before, *about, now)
    return before if state == "seen" else notices.ended(before, state, *about, now)


def evidence(params: dict[str, Any], after: list[Notice], problem: str) -> Result:
    """How long before its beginning users knew of the work that begins."""
    here = next(notice for notice in after if notice.state == "begun")
    return Result(
        id="delivery.notice.told",
        area="delivery",
        subject=params["service"],
        claim="Hours before a release's time at which its users were told",
        verdict="warn" if problem else "pass",
        measured=round((here.at - here.told) / notices.HOUR, 1) if here.told else None,
        unit="h",
        limit=f">= {params['hours']:g}",
        source="slipway.ops.notices",
        reason=f"{problem} Overridden: {params['override']}" if problem else None,
    )


def main() -> None:
    module = AnsibleModule(
        ARGUMENTS,
        required_if=[("state", "planned", ["at", "until"])],
        supports_check_mode=True,
    )
    params, now = module.params, time.time()
    path = Path(params["directory"]) / f"{params['service']}.json"
    try:
        stored = known(path)
    except (OSError, ValueError, TypeError, KeyError) as error:
        module.fail_json(msg=f"{path} cannot be read ({error}): remove it, and tell users of what is planned anew.")
    before = notices.current(stored, now)
    problem = notices.due_problem(before, params["service"], params["hours"], now) if params["hours"] > 0 else ""
    if params["state"] == "begun" and problem and not params["override"]:
        module.fail_json(msg=problem)
    news = then(params, before, now)
    after = before if params["state"] == "seen" else notices.kept(news, params["keep_days"], now)
    changed = params["state"] != "seen" and after != stored
    told = [asdict(notice) for notice in after]
    if changed and not module.check_mode:
        make_directory(path.parent)
        replace(path, json.dumps({"notices": told}, indent=1, ensure_ascii=False) + "\n", mode=0o644)
        if params["state"] == "begun" and params["hours"] > 0:
            Spool().leave([evidence(params, after, problem).as_dict()], "notices")
    module.exit_json(changed=changed, news=news != before, notices=told)


if __name__ == "__main__":
    main()
