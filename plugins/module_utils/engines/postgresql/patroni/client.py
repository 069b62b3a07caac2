# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Patroni's REST API, over TLS with this member's certificate, as the member's own configuration says."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.patroni import PatroniError

try:
    import yaml
except ImportError:  # Patroni is not there, which needs it too
    yaml = None  # type: ignore[assignment]

CONFIGURATION = "/etc/patroni/config.yml"
ASK_SECONDS = 5.0


@dataclass(frozen=True)
class Answer:
    """``body`` is what JSON it was, else the text."""

    status: int
    body: Any


class Client:
    """Asks members. ``own`` is the address of this host's member, ``name`` what it is called, ``directory`` where its
    data is."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self.name = str(configuration["name"])
        self.scope = str(configuration["scope"])
        self.own = f"https://{configuration['restapi']['connect_address']}"
        self._port = str(configuration["postgresql"]["connect_address"]).rpartition(":")[2]
        self.directory = Path(configuration["postgresql"]["data_dir"])
        self.programs = str(configuration["postgresql"]["bin_dir"])
        files = configuration["ctl"]
        self._tls = ssl.create_default_context(cafile=files["cacert"])
        self._tls.load_cert_chain(files["certfile"], files["keyfile"])

    @property
    def version(self) -> int:
        """Major version of the server's programs, which are in /usr/lib/postgresql/VERSION/bin."""
        return int(Path(self.programs).parent.name)

    @classmethod
    def of_this_host(cls, path: str = CONFIGURATION) -> Client:
        """By the configuration of this host's Patroni."""
        if yaml is None:
            raise PatroniError(
                "python3-yaml is missing on this host, which Patroni needs too: run the role patroni first"
            )
        try:
            return cls(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
        except (OSError, KeyError, TypeError) as error:
            raise PatroniError(
                f"{path} does not tell how to reach Patroni ({error}): run the role patroni on this host first, and"
                " start patroni.service, which copies its certificate"
            ) from error

    def ask(self, path: str, base: str = "", timeout: float = ASK_SECONDS) -> Answer:
        """What a member answers to GET; this host's own without ``base``."""
        return self.send("GET", path, None, base, timeout)

    def lets_in(self, host: str) -> bool:
        """Whether the server on a host accepts connections."""
        argv = [f"{self.programs}/pg_isready", "--quiet", "--timeout=1", f"--host={host}", f"--port={self._port}"]
        return subprocess.run(argv, check=False).returncode == 0

    def send(self, method: str, path: str, body: Any, base: str = "", timeout: float = ASK_SECONDS) -> Answer:
        """What a member answers, whatever the status; PatroniError when it does not answer."""
        place = urlsplit(base or self.own)
        connection = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=timeout, context=self._tls)
        with closing(connection):
            try:
                connection.request(method, path, None if body is None else json.dumps(body))
                response = connection.getresponse()
                text = response.read().decode(errors="replace")
            except (OSError, http.client.HTTPException) as error:
                raise PatroniError(f"Patroni at {place.netloc} does not answer: {error}") from error
        return Answer(response.status, _parsed(text))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()
