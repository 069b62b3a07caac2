"""Takes mail on port 2525, or requests on a port, and writes each as a line of JSON to /root/mail or /root/web.

sink.py mail | web PORT
"""

from __future__ import annotations

import email
import email.policy
import http.server
import json
import socketserver
import sys
import time
from pathlib import Path
from typing import Any


def keep(kind: str, **told: Any) -> None:
    with Path(f"/root/{kind}").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"at": time.time(), **told}) + "\n")


class Web(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        keep("web", path=self.path, login=self.headers.get("Authorization"), body=body)
        answer = b"ok" if self.path.startswith("/slack") else b'{"status": "success"}'
        self.send_response(202 if self.path == "/pagerduty" else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


class Mail(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.say("220 sink")
        to = ""
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "RCPT":
                to = line
            if verb == "DATA":
                self.say("354 go on")
                self.keep(to)
            self.say("221 bye" if verb == "QUIT" else "250 sink" if verb == "EHLO" else "250 ok")

    def keep(self, to: str) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))  # SMTP doubles a dot at the start of a line
        told = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        parts = {part.get_content_type(): part.get_content() for part in told.walk() if not part.is_multipart()}
        keep("mail", to=to, subject=told["Subject"], parts=parts)

    def say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


if __name__ == "__main__":
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    if sys.argv[1] == "mail":
        socketserver.ThreadingTCPServer(("0.0.0.0", 2525), Mail).serve_forever()
    http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[2])), Web).serve_forever()
