"""Three servers with a sentinel each, an application that writes through them, and what the tests ask."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import testinfra
import yaml
from machine import until
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
CONTAINER = "slipway-redis-sentinel-"
HOSTS = ("cache1", "cache2", "cache3")
VARIABLES = yaml.safe_load(INVENTORY.read_text())["all"]["children"]["redis"]["vars"]
SHOP = VARIABLES["redis_users"][0]["password"]
SECRETS = {
    "password": VARIABLES["redis_password"],
    "sentinel": VARIABLES["redis_sentinel_password"],
    "shop": SHOP,
}
SENTINEL = "slipway-redis-sentinel.service"
TLS = "--tls --cacert /etc/ssl/certs/ca-certificates.crt"
# An application as its documentation has it: who leads is asked of the sentinels, anew after each failure.
APPLICATION = """
import json, select, sys, time
import redis
from redis.sentinel import Sentinel

given = json.loads(sys.stdin.readline())
login = {"username": "shop", "password": given["password"], "ssl": True,
         "ssl_ca_certs": "/etc/ssl/certs/ca-certificates.crt", "socket_timeout": 2}
sentinels = Sentinel([(host, 26379) for host in given["hosts"]], sentinel_kwargs=login, **login)
primary = sentinels.master_for("redis")
number = 0
while not select.select([sys.stdin], [], [], 0)[0]:  # until its input is closed
    number += 1
    try:
        primary.set(f"{given['name']}:{number}", number)
        told = primary.wait(1, 1000) if given["wait"] else 1
    except redis.RedisError as error:
        time.sleep(0.1)
        continue
    if told:
        print(number, flush=True)
    time.sleep(0.002)
"""

caches = {host: testinfra.get_host(f"docker://{CONTAINER}{host}") for host in HOSTS}


def redis(host: str, words: str, user: str = "shop", port: int = 6379) -> str:
    """What a server or, by its port, a sentinel answers to a client by the network; errors too."""
    password = {"": "", "shop": SHOP, "sentinel": SECRETS["sentinel"]}[user]
    login = f"--user {user}" if user else ""
    secret = f"REDISCLI_AUTH={password}" if user else ""
    command = f"{secret} timeout 10 redis-cli -h {host} -p {port} {TLS} --no-auth-warning {login} {words}"
    # By the script's standard input, so that the password is in no argument.
    done = subprocess.run(
        ["docker", "exec", "--interactive", f"{CONTAINER}cache3", "sh"],
        input=command,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip()


def sentinel(host: str, words: str, user: str = "shop") -> str:
    return redis(host, words, user, port=26379)


def leader(asked: str = "cache3") -> str:
    """Who leads, by a sentinel."""
    return sentinel(asked, "SENTINEL GET-MASTER-ADDR-BY-NAME redis").split("\n")[0]


def replication(host: str) -> dict[str, str]:
    lines = redis(host, "INFO replication").splitlines()
    return dict(line.strip().split(":", 1) for line in lines if ":" in line)


def follows(host: str, primary: str) -> bool:
    told = replication(host)
    return (told.get("role"), told.get("master_host"), told.get("master_link_status")) == ("slave", primary, "up")


def whole() -> bool:
    """Whether the sentinels agree who leads and all others follow it."""
    leads = leader()
    others = [host for host in HOSTS if host != leads]
    agreed = all(caches[host].run("slipway-redis-sentinel check").rc == 0 for host in HOSTS)
    return leads in HOSTS and agreed and all(follows(host, leads) for host in others)


def converge(*options: str) -> Run:
    return play(SCENARIO / "converge.yml", INVENTORY, *options)


class Application:
    """Writes on one host; ``acknowledged`` are the numbers that it was told are written, as they come."""

    def __init__(self, name: str, wait: bool, place: Path) -> None:
        self.name, self.place = name, place
        with place.open("wb") as output:
            self.process = subprocess.Popen(
                ["docker", "exec", "--interactive", f"{CONTAINER}cache3", "python3", "-c", APPLICATION],
                stdin=subprocess.PIPE,
                stdout=output,
                text=True,
            )
        assert self.process.stdin
        given = {"name": name, "wait": wait, "password": SHOP, "hosts": HOSTS}
        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()

    @property
    def acknowledged(self) -> list[int]:
        return [int(line) for line in self.place.read_text().split("\n")[:-1]]

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)


@contextmanager
def writing(name: str, place: Path, wait: bool = False) -> Iterator[Application]:
    application = Application(name, wait, place / "acknowledged")
    try:
        assert until(lambda: len(application.acknowledged) > 300, 120), "the application writes nothing"
        yield application
    finally:
        application.stop()


def kept(host: str, name: str) -> set[int]:
    """The application's numbers that a server has."""
    found = redis(host, f"--scan --pattern '{name}:*' --count 10000")
    return {int(line.rpartition(":")[2]) for line in found.splitlines() if line.startswith(f"{name}:")}
