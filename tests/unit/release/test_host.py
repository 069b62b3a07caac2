"""What the survey and the workers' check make of what the engine and the kernel say."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release import survey
from ansible_collections.slipway.ops.plugins.module_utils.release.host import worker_problem

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def worker(status: str = "running", code: int = 0, restarts: int = 0, started: str = "22:13:15") -> dict[str, Any]:
    at = f"2023-11-14T{started}.123456789Z"
    return {"State": {"Status": status, "ExitCode": code, "StartedAt": at}, "RestartCount": restarts}


@pytest.mark.parametrize(
    ("container", "problem"),
    [
        (worker(), ""),
        (worker(restarts=1, started="21:00:00"), ""),
        (worker("exited"), ""),
        (worker("restarting", 3, 4), "it ended and was started again 4 times"),
        (worker("running", 0, 2), "was started again 2 times"),
        (worker("exited", 1), "it is exited, its last exit was 1"),
        (worker("exited", 0, 3), "it is exited"),
        (worker("created"), "it is created"),
        (worker("paused"), "it is paused"),
    ],
)
def test_a_worker_goes_on_or_does_not(container: dict[str, Any], problem: str) -> None:
    told = worker_problem(container, NOW)
    assert problem in told and bool(told) == bool(problem)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_port_is_taken_where_somebody_listens_in_either_family(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        try:
            listener.bind((address, 0))
        except OSError as error:
            pytest.skip(f"this machine has no {address}: {error}")
        listener.listen()
        port = listener.getsockname()[1]
        assert list(survey.taken_ports(address, [port], set())) == [str(port)]
        assert survey.taken_ports(address, [port], {port}) == {}
    assert survey.taken_ports(address, [port], set()) == {}


@pytest.mark.parametrize("address", ["192.0.2.77", "2001:db8::77"])
def test_an_address_that_the_host_has_not_is_no_taken_port(address: str) -> None:
    with pytest.raises(survey.SurveyError, match=f"app_address {address} is no address of this host"):
        survey.check_address(address)


def test_a_host_without_ipv4_is_asked_for_its_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    class Route:
        def __init__(self, family: int, _kind: int) -> None:
            self.family = family

        def __enter__(self) -> Route:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def connect(self, _target: tuple[str, int]) -> None:
            if self.family == socket.AF_INET:
                raise OSError("Network is unreachable")

        def getsockname(self) -> tuple[str, int, int, int]:
            return "fd00::5", 5, 0, 0

    monkeypatch.setattr(survey.socket, "socket", Route)
    assert survey.default_address() == "fd00::5"
