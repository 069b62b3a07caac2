# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes Alertmanager's webhooks on loopback and sends each as a text message, by the HTTP API of whoever sends those.

``python3 -m ….sms SETTINGS PORT``. Settings are read at each message; what is secret in them are names of files.
"""

from __future__ import annotations

import http.client
import http.server
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LENGTH = 160  # characters of one message
LARGEST = 4 * 1024 * 1024  # bytes of a webhook
TIMEOUT = 10.0  # seconds for the provider


class SmsError(Exception):
    """Why no message was sent, a sentence without secrets."""


@dataclass(frozen=True)
class Provider:
    """How one channel's messages are sent. In the values of ``fields``, {to} and {text} stand for what they name."""

    to: str
    fields: Mapping[str, Any]
    form: bool
    url: str = field(repr=False)
    login: str = field(default="", repr=False)  # the header Authorization

    @staticmethod
    def read(settings: Path, channel: str) -> Provider:
        try:
            given = json.loads(settings.read_text(encoding="utf-8"))[channel]
            secret = {name: Path(path).read_text(encoding="utf-8").strip() for name, path in given["secrets"].items()}
        except KeyError as error:
            raise SmsError(f"{settings} has no {error} for the channel; run site.yml") from error
        except (OSError, ValueError) as error:
            raise SmsError(f"{settings} cannot be read ({error}); run site.yml") from error
        login = f"Bearer {secret['token']}" if "token" in secret else ""
        if given.get("username"):
            pair = f"{given['username']}:{secret.get('password', '')}"
            login = f"Basic {b64encode(pair.encode()).decode()}"
        return Provider(str(given["to"]), given["fields"], given["format"] == "form", secret["url"], login)

    def request(self, text: str) -> urllib.request.Request:
        filled = self._filled(self.fields, text)
        body = urllib.parse.urlencode(filled) if self.form else json.dumps(filled, ensure_ascii=False)
        kind = "application/x-www-form-urlencoded" if self.form else "application/json"
        headers = {"Content-Type": kind, **({"Authorization": self.login} if self.login else {})}
        return urllib.request.Request(self.url, body.encode(), headers)  # noqa: S310  preflight wants http or https

    def _filled(self, value: Any, text: str) -> Any:
        """Texts with what they name, however deep; a form has nothing but texts."""
        if isinstance(value, Mapping):
            return {name: self._filled(one, text) for name, one in value.items()}
        if isinstance(value, list):
            return [self._filled(one, text) for one in value]
        if isinstance(value, str):
            return value.replace("{to}", self.to).replace("{text}", text)
        return json.dumps(value) if self.form else value


def text(notification: Mapping[str, Any]) -> str:
    """What fits into one message: what and where of the first alert, how many more there are, and its summary."""
    told_of: Sequence[Mapping[str, Any]] = notification["alerts"]
    # A group that still fires has those of its alerts, too, that are over since the last message.
    alerts = [one for one in told_of if one.get("status") == notification["status"]] or told_of
    labels = alerts[0]["labels"]
    state = "over" if notification["status"] == "resolved" else labels.get("severity", "alert")
    where = f" on {labels['host']}" if labels.get("host") else ""
    more = f" (+{len(alerts) - 1})" if len(alerts) > 1 else ""
    summary = alerts[0].get("annotations", {}).get("summary", "")
    told = f"{state}: {labels.get('alertname', '?')}{where}{more}{f'. {summary}' if summary else ''}"
    return told if len(told) <= LENGTH else f"{told[: LENGTH - 1]}…"


def send(provider: Provider, told: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(provider.request(told), timeout=TIMEOUT):
            pass
    except urllib.error.HTTPError as error:
        raise SmsError(f"the provider answered {error.code}: {error.read(200).decode(errors='replace')}") from error
    except (OSError, http.client.HTTPException) as error:
        raise SmsError(f"the provider does not answer: {error}") from error


class Door(http.server.BaseHTTPRequestHandler):
    """``POST /CHANNEL``; what was not sent is Alertmanager's to try again, and to count."""

    protocol_version = "HTTP/1.1"
    settings = Path()

    def do_POST(self) -> None:
        try:
            told = text(json.loads(self._body()))
            send(Provider.read(self.settings, self.path.lstrip("/")), told)
        except SmsError as error:
            self._answer(502, str(error))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            self._answer(400, f"this is no notification of Alertmanager: {error!r}")
        else:
            self._answer(200, "sent")

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST:
            raise ValueError(f"{length} bytes")
        return self.rfile.read(length)

    def _answer(self, code: int, said: str) -> None:
        if code != 200:
            print(f"<4>{self.path.lstrip('/')}: {said}", flush=True)
        body = said.encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """What was sent is the provider's to list."""


def main(argv: Sequence[str] | None = None) -> None:
    settings, port = argv or sys.argv[1:]
    door = type("Door", (Door,), {"settings": Path(settings)})
    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), door).serve_forever()


if __name__ == "__main__":
    main()
