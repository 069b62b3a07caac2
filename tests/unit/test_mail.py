"""A page by mail: whole, over TLS unless told otherwise, and an answer that says why it was not taken."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.mail import MailError, Server, message, send

TAKEN: list[bytes] = []


class Sink(socketserver.StreamRequestHandler):
    """Takes mail for anybody but nobody@, without TLS."""

    def handle(self) -> None:
        self.wfile.write(b"220 sink\r\n")
        while line := self.rfile.readline().strip().upper():
            if line == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                TAKEN.append(b"".join(iter(self.rfile.readline, b".\r\n")))
            unknown = line.startswith(b"RCPT TO:<NOBODY")
            self.wfile.write(b"221 bye\r\n" if line == b"QUIT" else b"550 unknown\r\n" if unknown else b"250 ok\r\n")


@pytest.fixture
def sink() -> Iterator[str]:
    TAKEN.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Sink) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def mail(*to: str) -> EmailMessage:
    return message("slipway@example.com", to or ("ops@example.com",), "보고서: 1h", "<p>운영 보고서</p>", "html only")


def test_the_page_arrives_whole_with_a_text_beside_it(sink: str) -> None:
    send(Server(sink, tls=False), mail("a@example.com", "b@example.com"))
    told = message_from_bytes(TAKEN[0], policy=policy.default)
    assert (told["Subject"], told["To"]) == ("보고서: 1h", "a@example.com, b@example.com")
    html = told.get_body(("html",))
    assert html is not None and html.get_content().strip() == "<p>운영 보고서</p>"
    assert told["Message-ID"].endswith("@example.com>") and told["Date"]


def test_a_server_without_tls_gets_nothing_when_tls_is_asked(sink: str) -> None:
    with pytest.raises(MailError, match="STARTTLS extension not supported by server"):
        send(Server(sink), mail())
    assert TAKEN == []


def test_a_password_never_goes_out_without_tls(sink: str) -> None:
    with pytest.raises(MailError, match=r"a password does not go to .* without TLS") as told:
        send(Server(sink, "me", "secret", tls=False), mail())
    assert "secret" not in str(told.value) and TAKEN == []


def test_whoever_does_not_get_it_is_named(sink: str) -> None:
    with pytest.raises(MailError, match=r"does not take it for nobody@example\.com"):
        send(Server(sink, tls=False), mail("a@example.com", "nobody@example.com"))
    with pytest.raises(MailError, match=r"nobody of nobody@example\.com is known there"):
        send(Server(sink, tls=False), mail("nobody@example.com"))


def test_a_server_that_is_away_is_named() -> None:
    with pytest.raises(MailError, match=r"127\.0\.0\.1:1 does not take the mail: .*refused"):
        send(Server("127.0.0.1:1"), mail())


def test_a_line_break_in_a_subject_is_no_second_header() -> None:
    with pytest.raises(ValueError, match=r"linefeed|carriage"):
        message("a@example.com", ["b@example.com"], "x\r\nBcc: c@example.com", "", "")
