"""Services that misbehave exactly as a test says. On purpose they share no HTTP code with the prober."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import itertools
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hyperframe.frame import GoAwayFrame
from websockets.asyncio.server import ServerConnection, serve

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@dataclass
class Answer:
    """What becomes of one request. `cut` resets the connection, `close` announces and makes its end afterwards.

    `hold` keeps the answer back while it says so: what a test waits for is an event, not a time.
    """

    status: int = 200
    delay: float = 0.0
    version: str = "1.0.0"
    cut: bool = False
    close: bool = False
    unannounced: bool = False  # the connection ends with the answer, which does not say so
    chunked: bool = False
    hold: Callable[[], bool] | None = None

    async def due(self) -> None:
        await asyncio.sleep(self.delay)
        while self.hold and self.hold():
            await asyncio.sleep(0.005)


class Loop:
    """An event loop in a thread; what runs in it ends with it."""

    def __enter__(self) -> Loop:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def __exit__(self, *_: object) -> None:
        self.run(self._cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    async def _cancel(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def http(answer: Callable[[int], Answer], seen: list[bytes]) -> Handler:
    """HTTP/1.1; `answer` is asked with the number of the request, from 1. Heads of requests go into `seen`."""
    numbers = itertools.count(1)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                seen.append(head)
                length = next(
                    (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0"
                )
                await reader.readexactly(int(length.split(b":")[1]))
                wanted = answer(next(numbers))
                await wanted.due()
                if wanted.cut:
                    reset(writer)
                    return
                if wanted.unannounced:  # answer and end in one packet: nobody can send between them
                    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
                writer.write(message(wanted))
                await writer.drain()
                if wanted.close or wanted.unannounced or b"connection: close" in head.lower():
                    break
        writer.close()

    return handle


def message(answer: Answer) -> bytes:
    body = json.dumps({"ok": answer.status < 400}).encode()
    framing = "Transfer-Encoding: chunked" if answer.chunked else f"Content-Length: {len(body)}"
    if answer.chunked:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    lines = [f"HTTP/1.1 {answer.status} x", f"X-Service-Version: {answer.version}", framing]
    lines += ["Connection: close"] if answer.close else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def listening(handler: Handler, context: ssl.SSLContext | None = None, port: int = 0) -> Iterator[int]:
    """The service's port; leaving ends it at once, with everything that is open."""
    with Loop() as loop:
        server = loop.run(asyncio.start_server(handler, "127.0.0.1", port, ssl=context, reuse_address=True))
        yield server.sockets[0].getsockname()[1]
        server.close()


def http2(answer: Callable[[int], Answer], answered: list[int] | None = None) -> Handler:
    """HTTP/2 by the h2 library, over TLS. `close` says GOAWAY: what came is answered, the rest ignored."""
    numbers = itertools.count(1)
    done = [] if answered is None else answered

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(config=h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        leaving = False
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    if leaving:
                        continue
                    wanted = answer(next(numbers))
                    await wanted.due()
                    if wanted.cut:
                        reset(writer)
                        return
                    headers = [(":status", str(wanted.status)), ("x-service-version", wanted.version)]
                    if wanted.close:
                        leaving = True
                        goaway = GoAwayFrame(0, last_stream_id=event.stream_id)
                        writer.write(connection.data_to_send() + goaway.serialize())
                        await asyncio.sleep(0.02)
                    with suppress(h2.exceptions.ProtocolError):  # given up meanwhile
                        connection.send_headers(event.stream_id, headers, end_stream=True)
                        done.append(event.stream_id)
            writer.write(connection.data_to_send())
        writer.close()

    return handle


@contextmanager
def websocket(behave: Callable[[ServerConnection], Coroutine[Any, Any, None]]) -> Iterator[int]:
    """A WebSocket service by the websockets library; returns its port."""

    async def start() -> Any:
        return await serve(behave, "127.0.0.1", 0)

    with Loop() as loop:
        yield loop.run(start()).sockets[0].getsockname()[1]


@dataclass(frozen=True)
class Authority:
    """A certificate authority and the server certificate it signed, as files."""

    ca_file: Path
    certificate: Path

    def server_context(self, *protocols: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        if protocols:
            context.set_alpn_protocols(protocols)
        return context


def authority(directory: Path, name: str = "service.example.test", days: int = 1) -> Authority:
    """An authority of its own and its certificate for `name` and 127.0.0.1, good for `days` (negative: no more)."""
    directory.mkdir(parents=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())

    def builder(subject: x509.Name, public: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=10))
        )

    certificate = (
        builder(subject, key.public_key())
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False)
        .sign(ca_key, hashes.SHA256())
    )
    usage = x509.KeyUsage(*[position in (5, 6) for position in range(9)])  # certificates and revocation lists
    ca = (
        builder(ca_name, ca_key.public_key())
        .not_valid_after(now + datetime.timedelta(days=10))
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(usage, True)
        .add_extension(identifier, False)
        .sign(ca_key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (directory / "ca.pem").write_bytes(ca.public_bytes(pem))
    (directory / "server.pem").write_bytes(secret + certificate.public_bytes(pem))
    return Authority(directory / "ca.pem", directory / "server.pem")
