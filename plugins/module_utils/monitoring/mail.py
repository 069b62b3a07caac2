# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A page by mail, over TLS with a verified certificate unless it is told to go without."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from ansible_collections.slipway.ops.plugins.module_utils.net.address import split_host_port

TIMEOUT = 30.0  # seconds, of each step
TLS_FROM_THE_START = 465


class MailError(Exception):
    """A mail that did not go out; the message says where it was refused."""


@dataclass(frozen=True)
class Server:
    """``host`` has its port. Without ``username`` there is no login."""

    host: str
    username: str = ""
    password: str = ""
    tls: bool = True


def message(sender: str, to: Sequence[str], subject: str, html: str, text: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, ", ".join(to), subject
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain=sender.rpartition("@")[2] or None)
    mail.set_content(text)
    mail.add_alternative(html, subtype="html")
    return mail


def send(server: Server, mail: EmailMessage) -> None:
    """To all of its recipients, or a MailError; the server may have sent it to the others."""
    name, port = split_host_port(server.host)
    if server.username and not server.tls:
        raise MailError(f"a password does not go to {server.host} without TLS")
    try:
        with _connected(name, port, tls=server.tls) as smtp:
            if server.username:
                smtp.login(server.username, server.password)
            refused = smtp.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:  # of SMTP and of TLS
        raise MailError(f"{server.host} does not take the mail: {_said(error)}") from error
    if refused:
        raise MailError(f"{server.host} does not take it for {', '.join(refused)}")


def _connected(name: str, port: int, *, tls: bool) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if tls and port == TLS_FROM_THE_START:
        return smtplib.SMTP_SSL(name, port, timeout=TIMEOUT, context=context)
    smtp = smtplib.SMTP(name, port, timeout=TIMEOUT)
    try:
        if tls:
            smtp.starttls(context=context)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"nobody of {', '.join(error.recipients)} is known there"
    if isinstance(error, smtplib.SMTPResponseException):
        answer = error.smtp_error
        return f"{error.smtp_code} {answer.decode(errors='replace') if isinstance(answer, bytes) else answer}"
    return str(error) or type(error).__name__
