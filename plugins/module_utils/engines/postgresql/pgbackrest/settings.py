# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which options a host's pgbackrest.conf has, derived from the inventory, and why an inventory makes no sense."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Section = dict[str, Any]

MAXIMUM_REPOSITORIES = 2
SHORTEST_KEY = 20
# Minor versions of pgBackRest 2.
OLDEST = 41
BLOCKS_SINCE = 46
PREFER_SINCE = 54
IMPATIENCE = 20  # seconds; a slow store takes some to put the parts of a large file together
OUTAGE = 900  # seconds that a backup waits for its WAL, which comes late while the other repository is down
_S3_OPTIONS = {
    "s3_bucket": "s3-bucket",
    "s3_endpoint": "s3-endpoint",
    "s3_region": "s3-region",
    "s3_key": "s3-key",
    "s3_key_secret": "s3-key-secret",
    "s3_key_type": "s3-key-type",
    "s3_uri_style": "s3-uri-style",
    "s3_ca_file": "storage-ca-file",
}
_S3_NEEDED = ("s3_bucket", "s3_endpoint", "s3_region")
_STANZA = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Client:
    """A PostgreSQL host: its inventory name, the stanza it belongs to, and where its cluster is. One that is not
    ``backed_up`` only reads the backups of its stanza, to become a copy."""

    host: str
    stanza: str
    data_directory: str
    port: int = 5432
    backed_up: bool = True


@dataclass(frozen=True)
class Site:
    """What one host's configuration depends on.

    ``address`` is what the TLS server listens on, ``port`` its port, ``certificates`` the directory with its
    ``fullchain.pem``, ``key.pem`` and ``ca.pem``, ``processes`` how many run side by side, ``release`` the minor
    version of pgBackRest 2.
    """

    name: str
    address: str
    port: int
    certificates: str
    processes: int
    release: int
    clients: tuple[Client, ...]
    repositories: tuple[Mapping[str, Any], ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> Client | None:
        """This host as a client, when it is one."""
        return next((client for client in self.clients if client.host == self.name), None)

    @property
    def keepers(self) -> list[str]:
        """The repository hosts, in the order of the repositories."""
        return list(dict.fromkeys(entry["host"] for entry in self.repositories if entry.get("host")))

    @property
    def keeps(self) -> bool:
        return self.name in self.keepers

    @property
    def runs_backups(self) -> bool:
        """Backups are made by the first repository host, and where there is none by each PostgreSQL host for itself."""
        if self.keepers:
            return self.keepers[0] == self.name
        return self.own is not None and self.own.backed_up

    @property
    def served(self) -> list[Client]:
        """The clients whose backups this host makes or keeps."""
        if self.keeps:
            return [client for client in self.clients if client.backed_up]
        return [self.own] if self.own else []

    @property
    def stanzas(self) -> list[str]:
        return list(dict.fromkeys(client.stanza for client in self.served))


def site(data: Mapping[str, Any]) -> Site:
    """The site that plain data of the role describes."""
    clients = tuple(
        Client(
            entry["host"],
            entry["stanza"],
            entry["data_directory"],
            int(entry["port"]),
            entry.get("backed_up") is not False,
        )
        for entry in data["clients"]
    )
    return Site(**{**data, "clients": clients, "repositories": tuple(data["repositories"])})


def clients_of(hosts: Sequence[str], hostvars: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The clients that the host ``name`` knows among an inventory's PostgreSQL hosts, with the defaults of the role
    ``postgresql``: itself, and those that have a repository on it."""
    return [_client_of(host, hostvars[host]) for host in hosts if host == name or _keeps_of(name, hostvars[host])]


def _keeps_of(keeper: str, variables: Mapping[str, Any]) -> bool:
    """Whether a host's repositories are kept by another; one that does not say is taken to be of this system."""
    repositories = variables.get("pgbackrest_repositories")
    return repositories is None or any(entry.get("host") == keeper for entry in repositories)


def _client_of(host: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    cluster = f"{variables.get('postgresql_version') or 17}/{variables.get('postgresql_cluster') or 'main'}"
    return {
        "host": host,
        "stanza": variables.get("pgbackrest_stanza") or "main",
        "data_directory": variables.get("postgresql_data_directory") or f"/var/lib/postgresql/{cluster}",
        "port": variables.get("postgresql_port") or 5432,
        "backed_up": variables.get("pgbackrest_backed_up", True),
    }


def problems(place: Site) -> list[str]:
    """Everything that keeps backups from working, or from being safe, each with what to do."""
    found = _repository_problems(place.repositories)
    if place.release < OLDEST:
        found.append(
            f"this distribution's pgBackRest 2.{place.release} is older than 2.{OLDEST}: set postgresql_source: pgdg"
        )
    if not place.served:
        found.append(
            f"{place.name} is neither in pgbackrest_clients (by default the hosts of group postgresql) nor the host of"
            " a repository: put it into one of the groups postgresql and backup, or leave the role out"
        )
    for client in place.clients:
        if not _STANZA.fullmatch(client.stanza):
            found.append(f"pgbackrest_stanza of {client.host} is {client.stanza!r}; use letters, digits, _ . -")
    if place.keepers and any(entry["type"] == "path" for entry in place.repositories):
        found.append("a repository of type path beside one on a host cannot be reached by that host: make it type host")
    if place.keepers and place.address.startswith(("127.", "::1", "localhost")):
        found.append(
            f"the repository host and its clients talk to each other, but pgbackrest_address of {place.name} is"
            f" {place.address}, which only {place.name} itself reaches: set its internal address"
        )
    return found


def _repository_problems(repositories: Sequence[Mapping[str, Any]]) -> list[str]:
    if not 1 <= len(repositories) <= MAXIMUM_REPOSITORIES:
        return [
            f"pgbackrest_repositories has {len(repositories)} entries; it needs one or two, such as"
            " [{type: host, host: backup1, cipher_pass: '{{ vault_backup_key }}'}]"
        ]
    found = []
    for number, entry in enumerate(repositories, start=1):
        label = f"repository {number} ({entry['type']})"
        if entry["type"] == "host" and not entry.get("host"):
            found.append(f"{label} has no host; name the inventory host that keeps it")
        if entry["type"] == "path" and entry.get("host"):
            found.append(f"{label} has a host; a path on another host is of type host")
        missing = [name for name in _S3_NEEDED if entry["type"] == "s3" and not entry.get(name)]
        if entry["type"] == "s3" and entry.get("s3_key_type", "shared") == "shared":
            missing += [name for name in ("s3_key", "s3_key_secret") if not entry.get(name)]
        if missing:
            found.append(f"{label} needs {', '.join(missing)}")
        found += _encryption_problems(label, entry)
    return found


def _encryption_problems(label: str, entry: Mapping[str, Any]) -> list[str]:
    key = entry.get("cipher_pass") or ""
    if not entry.get("encryption", True):
        return [f"{label} has a cipher_pass, but encryption: false; leave one out"] if key else []
    if not key:
        return [
            f"{label} has no cipher_pass, and backups are encrypted: make a key with 'openssl rand -base64 48', keep it"
            " in the vault and outside of it (without it no backup can be read), or write encryption: false"
        ]
    if len(key) < SHORTEST_KEY:
        return [f"{label} has a cipher_pass of {len(key)} characters; make one of at least {SHORTEST_KEY}"]
    return []


def sections(place: Site) -> dict[str, Section]:
    """The sections of pgbackrest.conf in order; a list stands for an option that is given several times."""
    common: Section = {
        "lock-path": "/run/pgbackrest",
        "spool-path": "/var/spool/pgbackrest",
        "log-level-console": "warn",
        "log-level-file": "info",
        "process-max": place.processes,
        "compress-type": "zst",
        "archive-async": "y",
        # A peer that vanished without a word is noticed in two minutes, not after the protocol's half hour.
        "tcp-keep-alive-idle": 60,
        "tcp-keep-alive-interval": 15,
        "tcp-keep-alive-count": 4,
        **_patience(place),
        **_repositories(place),
        **_backup_options(place),
        **(_server(place) if place.keepers else {}),
    }
    found = {"global": {**common, **place.settings}}
    if len(place.repositories) > 1 and place.runs_backups:
        found["global:backup"] = {"archive-timeout": OUTAGE}
    for stanza in place.stanzas:
        found[stanza] = _stanza(place, stanza)
    return found


def _patience(place: Site) -> Section:
    """How long one attempt to reach a store may take. pgBackRest makes nine before it gives one up, and asks it first.

    With its own minute, nothing would be told for 9 minutes while one store is down, and WAL would be 18 minutes late
    in the other repository, whose backups would fail.
    """
    waits = len(place.repositories) > 1 or any(entry["type"] == "s3" for entry in place.repositories)
    return {"io-timeout": IMPATIENCE} if waits else {}


def _backup_options(place: Site) -> Section:
    members = [client.stanza for client in place.served]
    standbys = place.keeps and len(members) > len(set(members)) and place.release >= PREFER_SINCE
    return {"start-fast": "y", **({"backup-standby": "prefer"} if standbys else {})} if place.runs_backups else {}


def _repositories(place: Site) -> Section:
    options: Section = {}
    for number, entry in enumerate(place.repositories, start=1):
        elsewhere = entry.get("host") and entry["host"] != place.name
        lines = _remote(place, entry["host"]) if elsewhere else _local(entry)
        if place.runs_backups:
            lines |= {
                "bundle": "y",
                **({"block": "y"} if place.release >= BLOCKS_SINCE else {}),
                "retention-full-type": "time",
                "retention-full": entry["retention_days"],
            }
        options.update({f"repo{number}-{name}": value for name, value in lines.items()})
    return options


def _remote(place: Site, host: str) -> Section:
    """How to reach another host. A client asks the repository host for the key too, so that it need not lie on both."""
    return {
        "host": host,
        "host-type": "tls",
        "host-port": place.port,
        "host-ca-file": f"{place.certificates}/ca.pem",
        "host-cert-file": f"{place.certificates}/fullchain.pem",
        "host-key-file": f"{place.certificates}/key.pem",
    }


def _local(entry: Mapping[str, Any]) -> Section:
    options: Section = {"path": entry["path"]}
    if entry["type"] == "s3":
        options["type"] = "s3"
        options.update({option: entry[name] for name, option in _S3_OPTIONS.items() if entry.get(name)})
    if entry.get("encryption", True):
        options |= {"cipher-type": "aes-256-cbc", "cipher-pass": entry["cipher_pass"]}
    return options


def _server(place: Site) -> Section:
    """Who may talk to this host, by the common name of the client's certificate, and about which stanzas."""
    allowed: dict[str, list[str]] = {}
    if place.keeps:
        for client in place.clients:
            allowed.setdefault(client.host, []).append(client.stanza)
        if place.keepers[0] != place.name:  # which makes the backups in this one too
            allowed.setdefault(place.keepers[0], []).extend(place.stanzas)
    if place.own:
        for keeper in place.keepers:
            allowed.setdefault(keeper, []).append(place.own.stanza)
    allowed.pop(place.name, None)
    return {
        "tls-server-address": place.address,
        "tls-server-port": place.port,
        "tls-server-ca-file": f"{place.certificates}/ca.pem",
        "tls-server-cert-file": f"{place.certificates}/fullchain.pem",
        "tls-server-key-file": f"{place.certificates}/key.pem",
        "tls-server-auth": [f"{host}={','.join(dict.fromkeys(stanzas))}" for host, stanzas in allowed.items()],
    }


def _stanza(place: Site, stanza: str) -> Section:
    options: Section = {}
    members = [client for client in place.served if client.stanza == stanza]
    for number, client in enumerate(members, start=1):
        lines: Section = {"path": client.data_directory, "port": client.port}
        if client.host != place.name:
            lines |= _remote(place, client.host)
        options.update({f"pg{number}-{name}": value for name, value in lines.items()})
    return options


def text(found: Mapping[str, Section]) -> str:
    """The file. pgBackRest reads options of the command in question alone and ignores the rest."""
    lines = ["# Written by the role slipway.ops.pgbackrest; changes here are lost."]
    for name, options in found.items():
        lines += ["", f"[{name}]"]
        for option, value in options.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            lines += [f"{option}={_shown(item)}" for item in values]
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    return {True: "y", False: "n"}[value] if isinstance(value, bool) else str(value)
