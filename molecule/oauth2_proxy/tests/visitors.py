"""People who visit the edge: each has cookies of their own, and signs in at the provider as a browser does."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import testinfra
import yaml
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
os.environ.setdefault("MOLECULE_PROJECT_DIRECTORY", str(SCENARIO.parents[1]))  # the inventory reads it
EDGE, PROVIDER = "slipway-oauth2-proxy-edge1", "slipway-oauth2-proxy-provider1"
SESSION = "__Host-slipway_session"
UNIT = "oauth2-proxy.service"
VARIABLES: dict[str, Any] = yaml.safe_load(INVENTORY.read_text())["all"]["children"]["oauth2_proxy"]["vars"]
SECRETS = {name: VARIABLES[f"oauth2_proxy_{name}"] for name in ("client_secret", "cookie_secret")}
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
ALICE = {"Email": "alice@example.test", "PreferredUsername": "alice", "Groups": ["staff", "admins & co"]}
BOB = {"Email": "bob@example.test", "PreferredUsername": "bob", "Groups": ["staff"]}
GUEST = {"Email": "guest@elsewhere.test", "PreferredUsername": "guest", "Groups": []}
STRANGER = {"Email": "stranger@elsewhere.test", "PreferredUsername": "stranger", "Groups": ["staff"]}

edge, provider = (testinfra.get_host(f"docker://{name}") for name in (EDGE, PROVIDER))


class Answer:
    """The last of the answers that curl got on its way, the status and headers of all, and the body."""

    def __init__(self, headers: str, body: str) -> None:
        blocks = [block.splitlines() for block in headers.replace("\r", "").strip().split("\n\n") if block.strip()]
        self.way = [int(lines[0].split()[1]) for lines in blocks]
        self.all = [[tuple(line.partition(": ")[::2]) for line in lines[1:]] for lines in blocks]
        self.status, self.headers = self.way[-1], {name.lower(): value for name, value in self.all[-1]}
        self.body = body

    @property
    def seen(self) -> dict[str, str]:
        """The headers that the pool got; empty when the request did not reach it."""
        try:
            return json.loads(self.body).get("headers", {})
        except ValueError:
            return {}

    def values(self, name: str) -> list[str]:
        """The values of a header of all answers."""
        return [value for headers in self.all for header, value in headers if header.lower() == name]


class Visitor:
    """Somebody with a browser of their own."""

    def __init__(self, name: str) -> None:
        self.jar = f"/run/visitors/{name}"
        edge.check_output(f"mkdir -p /run/visitors && rm -f {self.jar}")

    def get(self, path: str, *options: str, site: str = "intra", accept: str = BROWSER) -> Answer:
        files = f"-b {self.jar} -c {self.jar} -D {self.jar}.headers -o {self.jar}.body"
        names = " ".join(f"--resolve {one}.example.test:443:127.0.0.1" for one in ("intra", "shop"))
        words = " ".join(shlex.quote(option) for option in ("-H", f"Accept: {accept}", *options))
        url = shlex.quote(f"https://{site}.example.test{path}")
        # What comes after a WebSocket's handshake is no answer to curl (52).
        asked = f"curl -sS --globoff --max-time 60 {files} {names} {words} {url} || test $? = 52"
        edge.check_output(f": > {self.jar}.headers; : > {self.jar}.body; {asked}")
        return Answer(*(edge.check_output(f"cat {self.jar}.{part}") for part in ("headers", "body")))

    def sign_in(self, person: dict[str, Any], path: str = "/") -> Answer:
        """Visits a page and follows wherever it leads, through the provider and back."""
        text = json.dumps({"Subject": f"id of {person['Email']}", "EmailVerified": True, **person})
        provider.check_output(f"printf %s {shlex.quote(text)} > /run/person.json")
        return self.get(path, "--location")

    def asks(self, path: str = "/", *options: str) -> int:
        """What a script of theirs is answered."""
        return self.get(path, *options, accept="application/json").status

    def cookie(self) -> str:
        """The session in their browser."""
        lines = edge.run(f"cat {self.jar}").stdout.splitlines()
        return next((line.split("\t")[6] for line in lines if f"\t{SESSION}\t" in line), "")

    def keep(self, name: str, value: str) -> None:
        line = "\t".join(("intra.example.test", "FALSE", "/", "TRUE", "0", name, value))
        edge.check_output(f"touch {self.jar} && sed -i '/\\t{name}\\t/d' {self.jar}")
        edge.check_output(f"echo {shlex.quote(line)} >> {self.jar}")


def configure(*options: str, **variables: Any) -> Run:
    """Runs the roles, with other variables than the inventory's."""
    return play(SCENARIO / "edge.yml", INVENTORY, *options, **variables)
