"""A client of the edge, and the role run again; what all tests of this scenario share."""

from __future__ import annotations

from pathlib import Path

from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
CA = "/usr/local/share/ca-certificates/slipway-internal-ca.crt"
LOG = "/var/log/nginx/access.log"
WORKERS = "pgrep --full '^nginx: worker process$'"  # what loads a cache ends by itself
HEADERS = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "content-security-policy": "default-src 'self'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-xss-protection": "1; mode=block",
    "referrer-policy": "strict-origin-when-cross-origin",
}
NAMES = (
    "www.example.test",
    "other.test",
    "xn--bcher-kva.example.test",
    "shop12.example.test",
    "busy.example.test",
    "kept.example.test",
)


class Answer:
    """Status, headers (lower case, every value) and body of one request by curl, TLS verified."""

    def __init__(self, host, url, *options):
        names = " ".join(f"--resolve {name}:{port}:127.0.0.1" for name in NAMES for port in (80, 443))
        self.command = host.run(
            f"curl -sS --max-time 10 {names} -D /tmp/headers -o /tmp/body {' '.join(options)} '{url}'"
        )
        self.code = self.command.rc
        if self.code:
            return
        first, *lines = (
            host.file("/tmp/headers").content_string.replace("\r", "").strip().split("\n\n")[-1].splitlines()
        )
        self.protocol, self.status = first.split()[0], int(first.split()[1])
        self.headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            self.headers.setdefault(name.lower(), []).append(value)
        self.body = host.run("cat /tmp/body").stdout

    def lacks(self, **other: str) -> dict[str, object]:
        """The headers of every answer that this one has not exactly once; some sites have others."""
        wanted = HEADERS | {name.replace("_", "-"): value for name, value in other.items()}
        return {name: self.headers.get(name) for name, value in wanted.items() if self.headers.get(name) != [value]}


def converge(*options: str, **variables) -> Run:
    """Run the role again with other variables."""
    return play(SCENARIO / "nginx.yml", SCENARIO / "inventory.yml", *options, timeout=300, **variables)


def site(**more):
    return {"name": "www", "domains": ["www.example.test"], "locations": [{"path": "/", "respond": 204}], **more}
