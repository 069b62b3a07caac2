# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The list of jobs for timers; the filters' documentation is in the .yml files beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import JobsError, merged, read_jobs
from ansible_collections.slipway.ops.plugins.module_utils.jobs.notices import read_notices
from ansible_collections.slipway.ops.plugins.plugin_utils.jobs import entries

DAY = 86400


def jobs(
    own: Sequence[Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    notify: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """See jobs.yml."""
    listed = entries()
    here = _of(listed, groups)
    left_out = {entry["name"] for entry in listed} - {entry["name"] for entry in here}
    changes = [entry for entry in own if entry.get("playbook") or entry.get("name") not in left_out]
    return merged(here, changes, notify)


def standard(groups: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """What every system runs that has hosts for it."""
    return _of(entries(), groups)


def _of(listed: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    wanted = (entry for entry in listed if "group" not in entry or groups.get(entry["group"]))
    return [{name: value for name, value in entry.items() if name != "group"} for entry in wanted]


def jobs_problems(entries: Sequence[Mapping[str, Any]], timezone: str, notices: Mapping[str, Any]) -> list[str]:
    """See jobs_problems.yml."""
    try:
        read_jobs(entries, timezone, list(read_notices(notices)))
    except JobsError as error:
        return error.problems
    return []


def jobs_timers(entries: Sequence[Mapping[str, Any]], timezone: str) -> list[dict[str, Any]]:
    """See jobs_timers.yml."""
    told = sorted({name for entry in entries for names in (entry.get("notify") or {}).values() for name in names})
    try:
        found = read_jobs(entries, timezone, told)
    except JobsError as error:
        raise AnsibleFilterError(str(error)) from None
    return [
        {
            "name": job.name,
            "calendar": job.schedule.calendar,
            "rrule": job.schedule.rrule,
            "catch_up": job.schedule.seconds >= DAY,
        }
        for job in found
        if job.schedule
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {function.__name__: function for function in (jobs, jobs_problems, jobs_timers)}
