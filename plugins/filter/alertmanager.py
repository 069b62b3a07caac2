# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From an inventory's channels to the configuration of Alertmanager."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import yaml
from ansible_collections.slipway.ops.plugins.module_utils.monitoring import channels

HEAD = "# Written by the role slipway.ops.alertmanager; changes here are lost.\n"


def channel_problems(given: list[dict[str, Any]], windows: list[str], mail_host: str) -> list[str]:
    """See channel_problems.yml."""
    return list(channels.problems(given, windows, mail_host))


def alertmanager_files(settings: dict[str, Any], owner: str) -> list[dict[str, Any]]:
    """See alertmanager_files.yml."""
    plain = json.loads(json.dumps(settings))  # Ansible's texts are types of their own
    secrets = channels.secret_files(plain["channels"], plain["mail"]["password"], plain["deadman"])
    secret = {"owner": owner, "mode": "0600", "secret": True}  # fields of an API may be its key
    sms = channels.sms_settings(plain["channels"], plain["secrets"])
    told = yaml.safe_dump(channels.configuration(plain), sort_keys=False, allow_unicode=True, width=120)
    return [
        *(secret | {"path": f"{plain['secrets']}/{name}", "content": content} for name, content in secrets.items()),
        {"path": "alertmanager.yml", "content": HEAD + told},
        *(
            [secret | {"path": "sms.json", "content": json.dumps(sms, indent=1, ensure_ascii=False) + "\n"}]
            if sms
            else []
        ),
    ]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"channel_problems": channel_problems, "alertmanager_files": alertmanager_files}
