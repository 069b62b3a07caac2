"""Answers every request, after three and a half seconds."""

import http.server
import time


class Slow(http.server.BaseHTTPRequestHandler):
    """One answer for all."""

    def do_GET(self) -> None:
        time.sleep(3.5)
        self.send_response(200)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", 18000), Slow).serve_forever()
