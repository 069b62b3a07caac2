# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The channels on which people hear of alerts: what is wrong with them, and Alertmanager's configuration for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.monitoring.alerts import SEVERITIES

TEST = "ChannelTest"  # the alert that each channel gets at set-up
WATCHDOG = "Watchdog"  # the alert that always fires
DEADMAN = "deadman"
NOBODY = "nobody"
TELEPHONE = 1_000_000  # from here on a number is rather a telephone's than a count
LEAST = 2  # channels for what is critical: one of them fails some day
NEEDS = {
    "slack": ("url",),
    "mail": ("to",),
    "pagerduty": ("routing_key",),
    "webhook": ("url",),
    "sms": ("url", "to", "fields"),
}
SECRETS = {
    "slack": ("url",),
    "mail": (),
    "pagerduty": ("routing_key",),
    "webhook": ("url", "token"),
    "sms": ("url", "token", "password"),
}
TAKES = {
    "slack": ("url", "channel"),
    "mail": ("to",),
    "pagerduty": ("routing_key", "url"),
    "webhook": ("url", "token"),
    "sms": ("url", "to", "fields", "format", "username", "password", "token"),
}
COMMON = ("name", "kind", "severities", "mute", "resolved")
Channel = Mapping[str, Any]


def problems(channels: Sequence[Channel], windows: Iterable[str], mail_host: str) -> Iterator[str]:
    """What keeps people from hearing of alerts, a sentence each."""
    known = list(windows)
    for channel in channels:
        yield from _own_problems(channel, known, mail_host)
    names = [str(channel["name"]) for channel in channels]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two channels are named {name}"
    for severity in SEVERITIES:
        heard = [channel for channel in channels if severity in severities(channel)]
        if not heard:
            yield f"no channel gets alerts of severity {severity}"
    always = [str(one["name"]) for one in channels if "critical" in severities(one) and not one.get("mute")]
    if len(always) < LEAST:
        told = ", ".join(always) or "none"
        yield f"critical alerts need {LEAST} channels that are never mute, for one fails some day; there is {told}"


def severities(channel: Channel) -> Sequence[str]:
    return channel.get("severities") or SEVERITIES


def secret_files(channels: Iterable[Channel], mail_password: str, deadman_url: str) -> dict[str, str]:
    """By name, the content of the files in which Alertmanager finds what nobody else may read."""
    found = {_secret(channel, field): str(channel[field]) for channel in channels for field in _secrets(channel)}
    return found | ({"mail": mail_password} if mail_password else {}) | ({DEADMAN: deadman_url} if deadman_url else {})


def sms_settings(channels: Iterable[Channel], place: str) -> dict[str, Any]:
    """What the program that sends text messages reads, by channel."""
    return {
        str(channel["name"]): {
            "to": channel["to"],
            "fields": channel["fields"],
            "format": channel.get("format") or "form",
            "username": channel.get("username") or "",
            "secrets": {field: f"{place}/{_secret(channel, field)}" for field in _secrets(channel)},
        }
        for channel in channels
        if channel["kind"] == "sms"
    }


def configuration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Alertmanager's configuration.

    A channel has a route of its own that goes on to the next, so that none depends on another, and one for its test.
    """
    channels: list[Channel] = settings["channels"]
    place = settings["secrets"]
    deadman = settings["deadman_interval"]
    return {
        "global": {"resolve_timeout": "5m"} | _mail(settings["mail"], place),
        "templates": [settings["texts"]],
        "time_intervals": settings["mute_windows"],
        "inhibit_rules": settings["inhibit_rules"],
        "route": {
            "receiver": channels[0]["name"],  # for alerts of nobody's severity
            "group_by": settings["group_by"],
            "group_wait": settings["group_wait"],
            "group_interval": settings["group_interval"],
            "repeat_interval": settings["repeat_interval"],
            "routes": [
                {
                    "matchers": [f'alertname="{WATCHDOG}"'],
                    "receiver": DEADMAN if settings["deadman"] else NOBODY,
                    "group_wait": "0s",
                    "group_interval": deadman,
                    "repeat_interval": deadman,
                },
                *(_test_route(name) for name in _tested(channels, settings["deadman"])),
                *(_route(channel) for channel in channels),
            ],
        },
        "receivers": [
            *(_receiver(channel, place, settings["sms_port"]) for channel in channels),
            *([_deadman(place)] if settings["deadman"] else []),
            {"name": NOBODY},
        ],
    }


def _own_problems(channel: Channel, windows: Sequence[str], mail_host: str) -> Iterator[str]:
    name, kind = str(channel["name"]), channel["kind"]
    where = f"channel {name}"
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or name in (DEADMAN, NOBODY):
        yield f"{where}: name it with small letters, digits and hyphens, and neither {DEADMAN} nor {NOBODY}"
    for field in NEEDS[kind]:
        if not channel.get(field):
            yield f"{where} is {kind} and needs {field}"
    for field, value in channel.items():
        if value and field not in (*COMMON, *TAKES[kind]):
            yield f"{where} is {kind}, which has no {field}"
    for window in channel.get("mute") or []:
        if window not in windows:
            yield f"{where} is mute in {window}, which alertmanager_mute_windows does not have"
    if kind == "sms":
        yield from _sms_problems(channel, where)
    if kind == "mail" and not mail_host:
        yield f"{where} needs alertmanager_mail_host, the server that takes its mail"
    url = str(channel.get("url") or "")
    if url and not re.match(r"https?://[^/\s]", url):
        yield f"{where}: its url is none"  # and not shown, for who has it can write there


def _sms_problems(channel: Channel, where: str) -> Iterator[str]:
    fields = channel.get("fields") or {}
    values = list(_leaves(fields))
    if not any("{text}" in str(value) for value in values):
        yield f"{where}: none of its fields has {{text}}, so that no message would say anything"
    numbers = [value for value in (channel.get("to"), *values) if isinstance(value, int) and value >= TELEPHONE]
    if numbers or isinstance(channel.get("to"), int):
        yield f"{where}: write numbers of telephones in quotes, '+4915…'; without them YAML drops the plus"
    if channel.get("format", "form") != "json":
        for name, value in fields.items():
            if isinstance(value, (Mapping, list)):
                yield f"{where}: its field {name} is no text, and a form has nothing else; format json has"


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (Mapping, list)):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(one)
    else:
        yield value


def _tested(channels: Iterable[Channel], deadman: bool) -> list[str]:
    return [str(channel["name"]) for channel in channels] + ([DEADMAN] if deadman else [])


def _test_route(name: str) -> dict[str, Any]:
    """Each test is a group of its own: one that joined the last would wait with it."""
    matchers = [f'alertname="{TEST}"', f'channel="{name}"']
    return {"matchers": matchers, "receiver": name, "group_by": ["..."], "group_wait": "0s"}


def _route(channel: Channel) -> dict[str, Any]:
    muted = {"mute_time_intervals": channel["mute"]} if channel.get("mute") else {}
    matchers = [f'severity=~"{"|".join(severities(channel))}"']
    return {"matchers": matchers, "receiver": channel["name"], "continue": True} | muted


def _receiver(channel: Channel, place: str, sms_port: int) -> dict[str, Any]:
    common: dict[str, Any] = {"send_resolved": channel.get("resolved", True)}
    files = {field: f"{place}/{_secret(channel, field)}" for field in _secrets(channel)}
    title, text = '{{ template "slipway.title" . }}', '{{ template "slipway.text" . }}'
    link = "{{ (index .Alerts 0).GeneratorURL }}"
    told: dict[str, Any]
    if channel["kind"] == "slack":
        where = {"channel": channel["channel"]} if channel.get("channel") else {}
        told = {"title": title, "text": text, "title_link": link, "fallback": title}
        own = {"slack_configs": [common | {"api_url_file": files["url"]} | where | told]}
    elif channel["kind"] == "mail":
        told = {"headers": {"Subject": title}, "text": text, "html": '{{ template "slipway.html" . }}'}
        own = {"email_configs": [common | {"to": channel["to"]} | told]}
    elif channel["kind"] == "pagerduty":
        severity = "{{ or .CommonLabels.severity `critical` }}"
        told = {"description": title, "severity": severity, "client": "Slipway", "client_url": link}
        where = {"url": channel["url"]} if channel.get("url") else {}
        own = {"pagerduty_configs": [common | {"routing_key_file": files["routing_key"]} | where | told]}
    elif channel["kind"] == "sms":
        own = {"webhook_configs": [common | {"url": f"http://127.0.0.1:{sms_port}/{channel['name']}"}]}
    else:
        token = {"http_config": {"authorization": {"credentials_file": files["token"]}}} if "token" in files else {}
        own = {"webhook_configs": [common | {"url_file": files["url"]} | token]}
    return {"name": channel["name"]} | own


def _deadman(place: str) -> dict[str, Any]:
    return {"name": DEADMAN, "webhook_configs": [{"send_resolved": False, "url_file": f"{place}/{DEADMAN}"}]}


def _mail(mail: Mapping[str, Any], place: str) -> dict[str, Any]:
    if not mail["host"]:
        return {}
    login = {"smtp_auth_username": mail["username"]} if mail["username"] else {}
    password = {"smtp_auth_password_file": f"{place}/mail"} if mail["password"] else {}
    server = {"smtp_smarthost": mail["host"], "smtp_from": mail["from"], "smtp_require_tls": mail["tls"]}
    return server | login | password


def _secrets(channel: Channel) -> list[str]:
    return [field for field in SECRETS[channel["kind"]] if channel.get(field)]


def _secret(channel: Channel, field: str) -> str:
    return f"{channel['name']}.{field}"
