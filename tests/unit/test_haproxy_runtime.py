"""What of a server's saved state outlives a change of the configuration; what is said when it cannot be saved."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy import unit as runtime
from ansible_collections.slipway.ops.plugins.module_utils.edge.haproxy.runtime import HaproxyError

HEADER = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state ... srv_port srvrecord srv_use_ssl ...\n"


def line(
    server="one", address="10.0.0.1", *, port="8001", name="-", admin="0", weight="100", op="2", check="15 3"
) -> str:
    """One server of backend `a` as HAProxy 3.0 writes it."""
    return f"4 a 1 {server} {address} {op} {admin} {weight} 100 215 {check} 2 6 0 0 0 {name} {port} - 0 8008 - - 0\n"


def config(*servers: str) -> str:
    lines = "".join(f"  server {server} weight 100\n" for server in servers)
    return f"backend other\n  server one 10.9.9.9:1\n\nbackend a\n  # server one 10.8.8.8:1\n{lines}"


def fitted(state: str, *servers: str) -> str:
    return runtime.fit(HEADER + state, config(*servers)).removeprefix(HEADER)


SAME = "4 a 1 one 10.0.0.1 2 0 100 100 215 15 3 2 6 0 0 0 - 8001 -\n"
ANEW = "4 a 1 one - 2 {admin} {weight} 100 215 1 0 2 6 0 0 0 - {port} -\n"


@pytest.mark.parametrize(
    ("state", "server", "kept"),
    [
        (line(), "one 10.0.0.1:8001", SAME),
        (line(), "one 10.0.0.1:8055", ANEW.format(admin=0, weight=100, port=8055)),
        (line(), "one 10.0.0.2:8001", ANEW.format(admin=0, weight=100, port=8001)),
        (line(), "one app1:8001", ANEW.format(admin=0, weight=100, port=8001)),
        (line(name="app1"), "one app2:8001", ANEW.format(admin=0, weight=100, port=8001)),
        (line(admin="8", weight="7", op="0"), "one 10.0.0.1:8055", ANEW.format(admin=8, weight=7, port=8055)),
        (
            line(op="0", check="7 1"),
            "one 10.0.0.1:8001",
            SAME.replace("10.0.0.1 2", "10.0.0.1 0").replace("15 3", "7 1"),
        ),
        (line(name="app1"), "one app1:8001", SAME.replace(" - 8001", " app1 8001")),
        (line(address="fd00::5"), "one [fd00::5]:8001", SAME.replace("10.0.0.1", "fd00::5")),
        (line("gone"), "one 10.0.0.1:8001", line("gone")),
        (line(check="0 0"), "one 10.0.0.1:8001", SAME.replace("15 3", "1 0")),
    ],
    ids=[
        *("nothing", "port", "address", "address to name", "name", "what an operator set", "known health", "looked up"),
        *("IPv6", "gone", "a status that takes no result"),
    ],
)
def test_the_configuration_goes_over_a_state_and_the_operator_stays(state, server, kept):
    assert fitted(state, server) == kept


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "STATE", tmp_path / "server-state")
    monkeypatch.setattr(runtime, "CONFIG", tmp_path / "haproxy.cfg")
    runtime.CONFIG.write_text(config("one 10.0.0.1:8055"))
    return tmp_path


def test_a_state_of_before_the_change_is_fitted_before_a_start(files):
    assert runtime.main(["fit"]) is None
    assert not runtime.STATE.exists()
    runtime.STATE.write_text(HEADER + line(admin="8"))
    assert runtime.main(["fit"]) is None
    assert runtime.STATE.read_text() == HEADER + ANEW.format(admin=8, weight=100, port=8055)


class Answers:
    """A runtime socket."""

    def __init__(self, answer: str | HaproxyError) -> None:
        self.answer = answer

    def ask(self, _command: str, _timeout: float = 0) -> str:
        if isinstance(self.answer, HaproxyError):
            raise self.answer
        return self.answer


def test_an_answer_that_is_no_state_replaces_nothing(files, monkeypatch):
    runtime.STATE.write_text("old")
    monkeypatch.setattr(runtime, "ADMIN", Answers("Permission denied"))
    assert "answered 'Permission denied'" in str(runtime.main(["save"]))
    assert runtime.STATE.read_text() == "old"


def test_a_reload_goes_on_without_a_state_and_fails_with_the_new_process(files, monkeypatch, capsys):
    monkeypatch.setattr(runtime, "ADMIN", Answers(HaproxyError("HAProxy is down")))
    monkeypatch.setattr(runtime, "MASTER", Answers("Success=1\n--\n"))
    assert runtime.main(["reload"]) is None
    assert "HAProxy is down" in capsys.readouterr().err
    monkeypatch.setattr(runtime, "MASTER", Answers("Success=0\n--\n"))
    assert "the old process goes on" in str(runtime.main(["reload"]))


@pytest.mark.parametrize("words", [[], ["stop"], ["save", "fit"]])
def test_other_words_are_refused(words):
    assert str(runtime.main(words)).startswith("usage:")
