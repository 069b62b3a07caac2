# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An HTTP/2 client: Debian's python3-httpx and python3-h2, one connection, many streams."""

from __future__ import annotations

import ssl
from typing import Any

from .connection import FailedRequest
from .http1 import outcome_of
from .plan import Plan
from .tally import Outcome


class Http2:
    """httpx opens a new connection when the service ends the old one, and repeats only what was never processed."""

    def __init__(self, plan: Plan) -> None:
        import httpx  # noqa: PLC0415 - only hosts that use it have it

        self._httpx: Any = httpx
        self._plan = plan
        target = plan.target("http2")
        host, port = plan.endpoint("http2")
        host = f"[{host}]" if ":" in host else host
        self._url = f"https://{host}:{port}{target.path}"
        self._headers = {"Host": target.authority, "User-Agent": "slipway-traffic", **plan.headers}
        self._extensions = {"sni_hostname": plan.server_name or target.host}
        # The caller's deadline covers the whole request; httpx's own is only a backstop.
        self._client: Any = httpx.AsyncClient(
            http2=True, verify=plan.tls_context(), trust_env=False, timeout=2 * plan.timeout, follow_redirects=False
        )

    async def request(self) -> Outcome:
        try:
            response = await self._client.get(self._url, headers=self._headers, extensions=self._extensions)
        except self._httpx.TransportError as error:
            raise FailedRequest(_reason(error)) from None
        if response.http_version != "HTTP/2":
            return Outcome(str(response.status_code), f"the service answered with {response.http_version}, not HTTP/2")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return outcome_of(self._plan, response.status_code, headers, response.content)

    async def close(self) -> None:
        await self._client.aclose()


def _reason(error: Exception) -> str:
    """httpx wraps what happened; the certificate's trouble and the operating system's words are further down."""
    cause: BaseException | None = error
    while cause:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate not accepted: {cause.verify_message}"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        cause = cause.__cause__ or cause.__context__
    return f"HTTP/2: {str(error)[:120] or type(error).__name__}"
