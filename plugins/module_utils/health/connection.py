# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Opens connections for checks: TCP, TLS that verifies, Unix sockets."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, CheckUnknown, explain
from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

# The second address of a name is tried when the first has not answered after this long (RFC 8305).
_SECOND_ADDRESS_AFTER = 0.25


@cache
def trust(ca: str | None = None) -> ssl.SSLContext:
    """A context that verifies chains and names, against the CA file or the system's; made once for each file."""
    if ca and not Path(ca).is_file():
        raise CheckUnknown(f"the CA file {ca} is not there on this host")
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise CheckUnknown(f"the CA file {ca} cannot be used: {error}") from error
    # Python 3.13 began to refuse chains without key identifiers, which other clients take: one verdict on all hosts.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


async def connect(
    host: str, port: int, context: ssl.SSLContext | None = None, server_name: str | None = None
) -> Streams:
    """A connection to host and port, with TLS when a context is given; CheckFailed when there is none."""
    name = (server_name or host) if context else None
    try:
        return await asyncio.open_connection(
            host, port, ssl=context, server_hostname=name, happy_eyeballs_delay=_SECOND_ADDRESS_AFTER
        )
    except (OSError, UnicodeError) as error:
        raise CheckFailed(f"{join_host_port(host, port)}: {explain(error, host)}") from error


async def connect_unix(path: str) -> Streams:
    try:
        return await asyncio.open_unix_connection(path)
    except FileNotFoundError as error:
        raise CheckFailed(f"{path} is not there: is the service that owns it running?") from error
    except OSError as error:
        raise CheckFailed(f"{path}: {explain(error)}") from error
