"""Alerts as text messages: what fits into one, what the provider is sent, and what it refuses."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.monitoring import sms

ALERT = {
    "labels": {"alertname": "NginxDown", "host": "edge1", "severity": "critical"},
    "annotations": {"summary": "nginx on edge1 does not answer"},
}


def notification(*alerts: dict[str, Any], status: str = "firing") -> dict[str, Any]:
    return {"status": status, "alerts": list(alerts or [ALERT])}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (notification(), "critical: NginxDown on edge1. nginx on edge1 does not answer"),
        (notification(status="resolved"), "over: NginxDown on edge1. nginx on edge1 does not answer"),
        (notification(ALERT, ALERT, ALERT), "critical: NginxDown on edge1 (+2). nginx on edge1 does not answer"),
        (notification({"labels": {"alertname": "Watchdog"}}), "alert: Watchdog"),
        (
            notification(
                {"labels": {"alertname": "HostDown", "host": "a"}, "status": "resolved"},
                {"labels": {"alertname": "HostDown", "host": "b", "severity": "critical"}, "status": "firing"},
            ),
            "critical: HostDown on b",
        ),
    ],
)
def test_a_message_says_what_and_where(given: dict[str, Any], told: str) -> None:
    assert sms.text(given) == told


def test_a_message_is_one_message() -> None:
    long = sms.text(notification(ALERT | {"annotations": {"summary": "x" * 500}}))
    assert len(long) == 160 and long.endswith("x…")


class Provider(http.server.BaseHTTPRequestHandler):
    """Takes messages, or refuses them."""

    status = 200
    came: list[tuple[str | None, str | None, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.came.append((self.headers["Content-Type"], self.headers["Authorization"], body))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"no credit")

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def provider() -> Iterator[Any]:
    kept: type[Provider] = type("Kept", (Provider,), {"came": []})
    yield from served(kept)


@pytest.fixture
def door(tmp_path: Path, provider: Any) -> Iterator[Any]:
    secrets = {"url": f"http://127.0.0.1:{provider.server_port}/send", "password": "t3xts"}
    for name, value in secrets.items():
        (tmp_path / name).write_text(value)
    known = {
        "to": "+1 555",
        "fields": {"To": "{to}", "Body": "{text}"},
        "format": "form",
        "username": "shop",
        "secrets": {name: str(tmp_path / name) for name in secrets},
    }
    (tmp_path / "sms.json").write_text(json.dumps({"phone": known, "japan": known | {"format": "json"}}))
    yield from served(type("Door", (sms.Door,), {"settings": tmp_path / "sms.json"}))


def served(handler: Any) -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def post(door: Any, channel: str, body: Any) -> tuple[int, str]:
    url = f"http://127.0.0.1:{door.server_port}/{channel}"
    try:
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_form_or_json_is_sent_with_the_login(door: Any, provider: Any) -> None:
    assert post(door, "phone", notification())[0] == post(door, "japan", notification())[0] == 200
    (form, login, body), (plain, _login, other) = provider.RequestHandlerClass.came
    assert (form, plain) == ("application/x-www-form-urlencoded", "application/json")
    assert login == "Basic c2hvcDp0M3h0cw=="
    told = {"To": "+1 555", "Body": sms.text(notification())}
    assert dict(urllib.parse.parse_qsl(body)) == told == json.loads(other)


def test_numbers_and_nested_fields_are_sent(door: Any, provider: Any) -> None:
    """APIs that take JSON want lists, and numbers as numbers; a form has texts."""
    path = door.RequestHandlerClass.settings
    known = json.loads(path.read_text())
    known["phone"]["fields"] |= {"ttl": 60, "flash": True}
    known["japan"]["fields"] = {"ttl": 60, "messages": [{"to": ["{to}"], "text": "{text}"}]}
    path.write_text(json.dumps(known))
    assert post(door, "phone", notification())[0] == post(door, "japan", notification())[0] == 200
    (_, _, form), (_, _, plain) = provider.RequestHandlerClass.came
    told = sms.text(notification())
    assert dict(urllib.parse.parse_qsl(form)) == {"To": "+1 555", "Body": told, "ttl": "60", "flash": "true"}
    assert json.loads(plain) == {"ttl": 60, "messages": [{"to": ["+1 555"], "text": told}]}


def test_what_the_provider_refuses_is_alertmanagers_to_try_again(
    door: Any, provider: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.RequestHandlerClass.status = 402
    assert post(door, "phone", notification()) == (502, "the provider answered 402: no credit")
    assert capsys.readouterr().out == "<4>phone: the provider answered 402: no credit\n"


def test_an_unknown_channel_and_nonsense_are_told(door: Any, provider: Any) -> None:
    code, said = post(door, "fax", notification())
    assert code == 502 and "has no 'fax' for the channel" in said
    code, said = post(door, "phone", {"status": "firing", "alerts": []})
    assert code == 400 and "no notification of Alertmanager" in said
    assert provider.RequestHandlerClass.came == []
