# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an operator answers when a project begins: read, completed, and refused in a sentence each."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from ansible_collections.slipway.ops.plugins.module_utils.net import firewall, names
from ansible_collections.slipway.ops.plugins.plugin_utils.start.ssh_from import default_networks

# Each text goes into YAML between quotes, so none may hold one; a template is nobody's name.
_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_LOGIN = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9.:-]*(/[a-z0-9._-]+)+")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_WORD = re.compile(r"[A-Za-z0-9._:/+=@-]+")
_HOST = re.compile(r"(?P<name>[^=]+)=(?P<address>[^@/]+)(@(?P<port>\d+))?(/(?P<inside>.+))?")
_NO_TEXT = "which YAML reads as another thing than text: take another name"
S3 = ("bucket", "endpoint", "region", "key", "secret")
DATABASES = ("postgresql", "none")
BACKUPS = ("own", "s3")


class AnswersError(ValueError):
    """The answers that cannot be meant, a sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Host:
    """A server: its name in the inventory, how it is reached by SSH, and the address that it has itself, which others
    reach it by."""

    name: str
    address: str
    port: int
    inside: str


@dataclass(frozen=True)
class Answers:
    """What a project is written from; every text is safe between quotes in YAML."""

    hosts: tuple[Host, ...]
    ssh_from: tuple[str, ...]
    user: str
    become_password: str
    domain: str
    service: str
    image: str
    port: int
    health: str
    database: str
    backups: str
    s3: Mapping[str, str]
    timezone: str
    registry_login: Mapping[str, str]


@dataclass
class _Reader:
    """Takes one answer after the other, and keeps what is wrong with each."""

    given: Mapping[str, Any]
    problems: list[str] = field(default_factory=list)

    def text(self, name: str, default: str = "") -> str:
        value = self.given.get(name)
        return default if value is None or not str(value).strip() else str(value).strip()

    def refuse(self, name: str, problem: str) -> None:
        self.problems.append(f"start_{name} {problem}.")

    def matching(self, name: str, pattern: re.Pattern[str], wanted: str, default: str = "") -> str:
        value = self.text(name, default)
        if not value:
            self.refuse(name, f"is missing; it is {wanted}")
        elif not pattern.fullmatch(value):
            self.refuse(name, f"is {value!r}; it is {wanted}")
        return value

    def several(self, name: str) -> list[str]:
        """A list, or a text with commas between."""
        value = self.given.get(name)
        texts = value if isinstance(value, list) else str(value or "").split(",")
        return [str(text).strip() for text in texts if str(text).strip()]

    def one_of(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, choices[0])
        if value not in choices:
            self.refuse(name, f"is {value!r}; it is {' or '.join(choices)}")
        return value

    def number(self, name: str, default: int) -> int:
        value = self.text(name, str(default))
        if not value.isdecimal() or not 1 <= int(value) <= 65535:
            self.refuse(name, f"is {value!r}; it is a port, 1 to 65535")
            return default
        return int(value)

    def mapping(self, name: str, keys: tuple[str, ...]) -> dict[str, str]:
        value = self.given.get(name) or {}
        if not isinstance(value, Mapping) or (value and set(value) != set(keys)):
            self.refuse(name, f"is a mapping of {', '.join(keys)}")
            return {}
        found = {key: str(value[key]) for key in value}
        for key in (key for key, text in found.items() if not _WORD.fullmatch(text)):
            self.refuse(name, f"has a {key} with letters that none has")
        return found


def read_answers(given: Mapping[str, Any]) -> Answers:
    """The answers, by their names without ``start_``; raises :class:`AnswersError` with all that is wrong."""
    reader = _Reader(given)
    service = reader.matching("service", _LABEL, "a name of small letters, digits and hyphens, such as shop")
    if _LABEL.fullmatch(service) and not _is_text(service):
        reader.refuse("service", f"is {service!r}, {_NO_TEXT}")
    image = reader.text("image")
    if image and not _IMAGE.fullmatch(image):
        reader.refuse("image", f"is {image!r}; it is a registry and a name without a tag, such as ghcr.io/acme/shop")
    hosts = _hosts(reader)
    answers = Answers(
        hosts=hosts,
        ssh_from=_ssh_from(reader, hosts),
        user=reader.matching("user", _LOGIN, "the login on the hosts, such as root", "root"),
        become_password=str(given.get("become_password") or ""),
        domain=_domain(reader),
        service=service,
        image=image,
        port=reader.number("port", 8000),
        health=reader.matching("health", _PATH, "a path, such as /health", "/health"),
        database=reader.one_of("database", DATABASES),
        backups=reader.one_of("backups", BACKUPS),
        s3=reader.mapping("s3", S3),
        timezone=_timezone(reader),
        registry_login=reader.mapping("registry_login", ("username", "password")),
    )
    _judge_together(answers, reader)
    if reader.problems:
        raise AnswersError(reader.problems)
    return answers


def _judge_together(answers: Answers, reader: _Reader) -> None:
    """Answers that go with others."""
    if answers.backups == "s3" and not answers.s3:
        reader.refuse("s3", f"is missing; it is a mapping of {', '.join(S3)}, from a file (-e @answers.yml)")
    if answers.s3 and answers.backups != "s3":
        reader.refuse("s3", "is given, and start_backups is not s3")
    if answers.registry_login and not answers.image:
        reader.refuse("registry_login", "is of a registry of others, and start_image names none")
    if not answers.image and len(answers.hosts) > 1 and ":" in answers.hosts[-1].inside:
        reader.refuse(
            "hosts", "has IPv6 on the last host, which keeps the images, and Docker names no registry by that"
        )
    if answers.database == "none" and answers.backups == "s3":
        reader.refuse("backups", "is s3, and there is no database to back up")


def _hosts(reader: _Reader) -> tuple[Host, ...]:
    entries = reader.several("hosts")
    if not entries:
        reader.refuse("hosts", "is missing; it is one or more name=address, such as web1=203.0.113.7")
    hosts = [host for entry in entries if (host := _host(entry, reader))]
    for what, values in (("name", [host.name for host in hosts]), ("address", [(h.address, h.port) for h in hosts])):
        if len(set(values)) < len(values):
            reader.refuse("hosts", f"has one {what} twice")
    return tuple(hosts)


def _host(entry: str, reader: _Reader) -> Host | None:
    found = _HOST.fullmatch(entry)
    if (
        not found
        or not _LABEL.fullmatch(found["name"].strip())
        or found["name"].strip() in ("all", "localhost", "ungrouped")
    ):
        reader.refuse(
            "hosts",
            f"has {entry!r}; a host is name=address, such as web1=203.0.113.7 or web1=203.0.113.7@2222/10.0.0.4",
        )
        return None
    if not _is_text(name := found["name"].strip()):
        reader.refuse("hosts", f"has {name!r}, {_NO_TEXT}")
        return None
    address, port = found["address"].strip(), int(found["port"] or 22)
    inside = (found["inside"] or address).strip()
    for text in {address, inside} - {one for one in (address, inside) if names.is_address(one)}:
        reader.refuse("hosts", f"has {text!r}; an address is wanted, such as 203.0.113.7, for services bind to it")
        return None
    if not 1 <= port <= 65535:
        reader.refuse("hosts", f"has {entry!r}; a port is 1 to 65535")
    return Host(found["name"].strip(), names.canonical(address), port, names.canonical(inside))


def _ssh_from(reader: _Reader, hosts: tuple[Host, ...]) -> tuple[str, ...]:
    """Networks as the firewall takes them, ``anywhere`` among them; the operator's own when none is given."""
    given = reader.several("ssh_from")
    for text in (text for text in given if text != firewall.ANYWHERE and firewall.as_network(text) is None):
        reader.refuse("ssh_from", f"has {text!r}; it is networks such as 203.0.113.0/24, or {firewall.ANYWHERE}")
    found = [text if text == firewall.ANYWHERE else str(firewall.as_network(text)) for text in given]
    return tuple(dict.fromkeys(found)) or default_networks(host.address for host in hosts)


def _is_text(label: str) -> bool:
    """Whether YAML reads it as it stands: yes, no, on, off are none. A host's name is a key, without quotes."""
    return isinstance(yaml.safe_load(label), str)


def _domain(reader: _Reader) -> str:
    value = reader.text("domain")
    if not value:
        reader.refuse("domain", "is missing; it is the name by which users come, such as shop.example.com")
        return ""
    domain = _explained(lambda: names.ascii_name(value), "domain", reader)
    if domain and ("." not in domain or "*" in domain or names.is_address(domain)):
        reader.refuse("domain", f"is {value!r}; it is one whole name, such as shop.example.com")
    return domain


def _timezone(reader: _Reader) -> str:
    value = reader.text("timezone", "Etc/UTC")
    if value not in zoneinfo.available_timezones():
        reader.refuse("timezone", f"is {value!r}; it is a name such as Asia/Seoul or Etc/UTC")
    return value


def _explained(work: Callable[[], str], name: str, reader: _Reader) -> str:
    try:
        return work()
    except names.HostNameError as error:
        reader.refuse(name, f"cannot be meant: {error}")
        return ""
