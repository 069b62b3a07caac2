# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The page of how everything is; its documentation is in status_page.yml."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError
from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import JobsError, read_jobs
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import Words
from ansible_collections.slipway.ops.plugins.plugin_utils.status.page import render


def status_page(
    assessment: Mapping[str, Any],
    evidence: Mapping[str, Any],
    about: Mapping[str, Any],
    language: str = "en",
) -> str:
    """See status_page.yml."""
    try:
        # Ansible marks values with their origin; the page is about the values alone.
        verdict, found, told = json.loads(json.dumps([assessment, evidence, about], default=str))
        notices = sorted(
            {name for one in told["jobs"] for names in (one.get("notify") or {}).values() for name in names}
        )
        jobs = read_jobs(told["jobs"], told["timezone"], notices)
        return render(verdict, found, told, jobs, Words(language))
    except (ValueError, EvidenceError, JobsError) as error:
        raise AnsibleFilterError(f"status_page: {error}") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"status_page": status_page}
