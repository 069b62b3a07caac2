"""Forwards port 9432 to pgBackRest's server on backup1 over TLS, with a client certificate if one is given."""

import asyncio
import ssl
import sys

DIRECTORY = "/etc/pgbackrest/certificates"


async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def forward(reader, writer):
    upstream = ssl.create_default_context(cafile=f"{DIRECTORY}/ca.pem")
    if len(sys.argv) > 1:
        upstream.load_cert_chain(*sys.argv[1:])
    there = await asyncio.open_connection("backup1", 8432, ssl=upstream)
    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)


async def main():
    here = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    here.load_cert_chain(f"{DIRECTORY}/fullchain.pem", f"{DIRECTORY}/key.pem")
    await (await asyncio.start_server(forward, "0.0.0.0", 9432, ssl=here)).serve_forever()


asyncio.run(main())
