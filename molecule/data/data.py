"""What is in every store of the host: `write` puts a known state there, `tell` says counts and hashes of any order."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pymongo
import redis

MONGO = "mongodb://root:only-for-this-scenario@127.0.0.1:27017/"
FILES = ("/srv/uploads", "/etc/shop")
DATABASES = (0, 3)
TABLES = """
create table orders (number bigint primary key, words text, made timestamptz default '2026-11-21 14:03:06+09');
insert into orders select n, 'order ' || md5(n::text) from generate_series(1, 5000) n;
create table customers (name text unique, balance numeric(12, 2));
insert into customers select 'customer ' || n, n * 1.25 from generate_series(1, 700) n;
"""


def mongo() -> Any:
    return pymongo.MongoClient(MONGO, serverSelectionTimeoutMS=3000)


def cache(database: int) -> Any:
    return redis.Redis(db=database, username="shop", password="sells-in-this-scenario", decode_responses=True)


def sql(statement: str) -> str:
    """By standard input: a statement may be long."""
    argv = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "shop"]
    return subprocess.run(argv, input=statement, stdout=subprocess.PIPE, text=True, check=True, cwd="/").stdout


def hashed(lines: Iterable[str]) -> list[Any]:
    """How many, and a hash whatever their order."""
    kept = sorted(lines)
    return [len(kept), hashlib.sha256("\n".join(kept).encode()).hexdigest()]


def write() -> None:
    sql(f"drop table if exists orders, customers; {TABLES}")
    shop = mongo().shop
    shop.orders.drop()
    shop.orders.insert_many(
        {"_id": number, "name": f"order {number}", "parts": [1, 2.5, None, True, {"of": number}]}
        for number in range(1500)
    )
    shop.orders.create_index([("name", 1)], unique=True)
    shop.orders.create_index([("parts.of", -1), ("name", 1)])
    for database in DATABASES:
        cache(database).flushdb()
    first = cache(0)
    for number in range(300):
        first.set(f"text:{number}", f"value {number}")
    first.hset("hash", mapping={"a": "1", "b": "2"})
    first.rpush("list", 3, 1, 2)
    first.sadd("set", "x", "y")
    first.zadd("zset", {"m": 1.5, "n": 0.5})
    cache(3).set("elsewhere", "1")
    Path("/srv/uploads/known").write_text("of the known state\n")


def tell() -> dict[str, Any]:
    tables = sql("select format('%I', tablename) from pg_tables where schemaname = 'public'").split()
    client = mongo()
    names = [name for name in client.list_database_names() if name not in ("admin", "config", "local")]
    collections = [client[name][inner] for name in names for inner in client[name].list_collection_names()]
    return {
        "postgresql": {name: hashed(sql(f"select t::text from {name} t").splitlines()) for name in sorted(tables)},
        "mongodb": {
            one.full_name: [*hashed(map(repr, one.find())), hashed(map(repr, one.index_information().items()))]
            for one in collections
        },
        "redis": {number: hashed(keys(cache(number))) for number in DATABASES},
        "files": {str(path): node(path) for path in paths()},
    }


def paths() -> list[Path]:
    """Without what backups leave out."""
    found = [path for top in FILES for path in (Path(top), *sorted(Path(top).rglob("*")))]
    return [path for path in found if not path.is_relative_to("/srv/uploads/cache")]


def keys(client: Any) -> list[str]:
    return [f"{key} {value(client, key)}" for key in client.scan_iter()]


def value(client: Any, key: str) -> Any:
    read = {
        "string": lambda: client.get(key),
        "hash": lambda: sorted(client.hgetall(key).items()),
        "list": lambda: client.lrange(key, 0, -1),
        "set": lambda: sorted(client.smembers(key)),
        "zset": lambda: client.zrange(key, 0, -1, withscores=True),
    }
    return read[client.type(key)]()


def node(path: Path) -> list[Any]:
    """Mode, owner and content of a file, a link or a directory."""
    told = path.lstat()
    what = str(path.readlink()) if path.is_symlink() else hashed([path.read_bytes().hex()]) if path.is_file() else ""
    return [oct(told.st_mode), told.st_uid, told.st_gid, told.st_nlink if path.is_file() else 0, what]


if sys.argv[1] == "write":
    write()
print(json.dumps(tell()))
