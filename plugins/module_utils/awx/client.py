# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""AWX's REST API (24.6.1), as far as a configuration needs it: lists with filters, objects, associations."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TIMEOUT = 60.0  # seconds of one request
PAGE = 200  # AWX's most


class AwxError(Exception):
    """AWX cannot be asked, or refuses; the message says what was tried and what came back."""


@dataclass(frozen=True)
class Login:
    """Where AWX is, and who asks: a token, or a user's name with a password."""

    url: str
    token: str = ""
    username: str = ""
    password: str = ""
    ca_file: str = ""

    @property
    def authorization(self) -> str:
        if self.token:
            return f"Bearer {self.token}"
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class Client:
    """Speaks to one AWX."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._base = login.url.rstrip("/")
        if not self._base.startswith(("https://", "http://127.0.0.1:", "http://localhost:", "http://[::1]:")):
            raise AwxError(f"{login.url} is not https, and whoever listens on the way could read the token")
        context = ssl.create_default_context(cafile=login.ca_file or None)
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirect())

    def version(self) -> str:
        return str(self.request("GET", "/api/v2/ping/").get("version", ""))

    def find(self, kind: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """The one object of these fields; ``None`` when there is none."""
        found = list(self.list(f"/api/v2/{kind}/", key))
        if len(found) > 1:
            raise AwxError(
                f"{kind} has {len(found)} of {_words(key)}, and one was expected; rename or delete the others"
            )
        return found[0] if found else None

    def list(self, path: str, query: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """All of a list, page by page."""
        words = urllib.parse.urlencode({**(query or {}), "page_size": PAGE, "order_by": "id"})
        following: str | None = f"{path}?{words}"
        while following:
            page = self.request("GET", following)
            yield from page["results"]
            following = page.get("next")

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One request; an answer without content is an empty mapping."""
        headers = {"Authorization": self._login.authorization, "Accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        asked = f"{method} {self._base}{path}"
        request = urllib.request.Request(self._base + path, data=data, headers=headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AwxError(f"{asked}: {error.code} {_reason(error)}") from None
        except (OSError, ValueError) as error:
            raise AwxError(f"{asked}: {getattr(error, 'reason', error)}") from None
        try:
            parsed = json.loads(text) if text.strip() else {}
        except ValueError:
            raise AwxError(f"{asked}: the answer is no JSON; is that AWX?") from None
        return parsed if isinstance(parsed, dict) else {"results": parsed}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token is not sent elsewhere."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _reason(error: urllib.error.HTTPError) -> str:
    """What AWX says of a refusal, in a line."""
    text = error.read(4000).decode(errors="replace")
    try:
        said = json.loads(text)
    except ValueError:
        return str(error.reason)
    if not isinstance(said, dict):
        return json.dumps(said)
    hint = "; is the token right, and may it write?" if error.code in (401, 403) else ""
    return "; ".join(f"{name}: {_flat(value)}" for name, value in said.items()) + hint


def _flat(value: Any) -> str:
    return " ".join(map(_flat, value)) if isinstance(value, list) else str(value)


def _words(key: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in key.items())
