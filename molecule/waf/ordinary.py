"""So many requests as a shop gets them, one after the other; says how often which status came."""

from __future__ import annotations

import collections
import http.client
import json
import random
import socket
import ssl
import sys
import urllib.parse

SENTENCES = (
    "영수증을 첨부합니다.",
    "예산안 확인 부탁드립니다 (11월분).",
    "(주)한빛 010-1234-5678",
    "합계 50,000원, 100% 지급 완료",
    "2026년 11월 29일 오전 10:00, 3층 회의실",
    "Please select a date from the calendar.",
    "The order was updated; see item #1.",
    "Söhne & Co. wrote: isn't 5 < 7? It is!",
    "Mr. O'Neill's café",
    "https://example.test/a?b=c",
    "shop@example.test",
    "2026-11-29T10:00:00+09:00",
)
BY_ONE_CONNECTION = 500  # nginx ends one after a thousand requests
CHANCE = random.Random(20261129)


def words(number: int) -> str:
    return " ".join(CHANCE.choices(SENTENCES, k=number))


def query() -> tuple[str, str, dict[str, str], bytes]:
    return "GET", "/items?" + urllib.parse.urlencode({"q": words(2), "page": CHANCE.randint(1, 99)}), {}, b""


def form() -> tuple[str, str, dict[str, str], bytes]:
    body = urllib.parse.urlencode({"title": words(3), "text": words(12)}).encode()
    return "POST", "/form", {"Content-Type": "application/x-www-form-urlencoded"}, body


def document() -> tuple[str, str, dict[str, str], bytes]:
    items = [{"name": words(2), "won": CHANCE.randint(1, 10**7), "paid": CHANCE.random() < 0.5} for _ in range(5)]
    body = json.dumps({"event": words(4), "items": items, "note": None}, ensure_ascii=CHANCE.random() < 0.5).encode()
    return (
        CHANCE.choice(["POST", "PUT", "PATCH"]),
        "/items/7",
        {"Content-Type": "application/json; charset=utf-8"},
        body,
    )


def upload() -> tuple[str, str, dict[str, str], bytes]:
    mark = "----a-form-of-a-browser"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="note"\r\n\r\n{words(5)}\r\n'.encode(),
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="영수증 {CHANCE.randint(1, 99)}.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + CHANCE.randbytes(20_000)
        + b"\r\n",
        f"--{mark}--\r\n".encode(),
    ]
    return "POST", "/upload", {"Content-Type": f"multipart/form-data; boundary={mark}"}, b"".join(parts)


def connect() -> http.client.HTTPSConnection:
    connection = http.client.HTTPSConnection("shop.example.test", context=ssl.create_default_context())
    connection.sock = connection._context.wrap_socket(  # nobody's name server knows the name
        socket.create_connection(("127.0.0.1", 443), timeout=60), server_hostname="shop.example.test"
    )
    return connection


def main() -> None:
    seen: collections.Counter[str] = collections.Counter()
    for number in range(int(sys.argv[1])):
        if number % BY_ONE_CONNECTION == 0:
            connection = connect()
        method, path, headers, body = CHANCE.choice([query, form, document, upload])()
        connection.request(method, path, body or None, {"User-Agent": "Mozilla/5.0", "Accept": "*/*", **headers})
        answer = connection.getresponse()
        answer.read()
        seen[str(answer.status)] += 1
        if answer.status != 200:
            print(method, path, body[:300], file=sys.stderr)
    print(json.dumps(seen))


main()
