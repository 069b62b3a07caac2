"""What is said of an intrusion detection: what it sees, what it misses, and how its events are counted."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.monitoring import intrusion
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.intrusion import Seen

WELL = Seen(uptime=900, packets=1000, drops=5, loaded=9, refused=0)
COUNTERS = {"uptime": 17, "capture": {"kernel_packets": 35, "kernel_drops": 2}}
RULES = [{"id": 0, "rules_loaded": 9, "rules_failed": 1, "rules_skipped": 0}]


def changed(**different: int) -> Seen:
    return Seen(**{**WELL.__dict__, **different})


def event(severity: int) -> bytes:
    return json.dumps({"event_type": "alert", "alert": {"severity": severity}}).encode() + b"\n"


def test_what_suricata_says_is_read():
    assert intrusion.seen(COUNTERS, RULES) == Seen(uptime=17, packets=35, drops=2, loaded=9, refused=1)
    assert intrusion.seen({}, []) == Seen(0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("one", "code", "said"),
    [
        (WELL, 0, "1000 packets seen, 9 rules used"),
        (None, 1, "does not answer"),
        (changed(refused=2), 1, "2 were refused"),
        (changed(loaded=0), 1, "0 rules are used"),
        (changed(packets=0, uptime=299), 77, "no packet yet"),
        (changed(packets=0, uptime=300), 1, "no packet was seen in 300 s"),
    ],
)
def test_whether_it_sees(one, code, said):
    assert intrusion.sees(one)[0] == code and said in intrusion.sees(one)[1]


def test_drops_are_held_to_the_limit():
    assert intrusion.drops(changed(drops=10), 1.0) == (0, "10 of 1000 packets were missed, 1.00 %")
    assert intrusion.drops(changed(drops=11), 1.0)[0] == 1
    assert intrusion.drops(changed(packets=0, drops=0, uptime=20), 1.0)[0] == 77  # nothing seen is no pass
    assert intrusion.drops(None, 1.0)[0] == 1


def test_a_host_that_does_not_allow_it_is_skipped_with_the_reason(monkeypatch, capsys):
    def refused(*words: Any) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(intrusion.socket, "socket", refused)
    assert intrusion.main(["sees", "1.0"]) == intrusion.main(["drops", "1.0"]) == 77
    said = capsys.readouterr().out
    assert said.count("not applicable: this host does not let packets be looked at (Operation not permitted)") == 2


def test_events_are_counted_by_severity_over_rotations(tmp_path: Path):
    events, state = tmp_path / "eve.json", tmp_path / "state"
    state.mkdir()
    events.write_bytes(event(1) + event(3) + b'{"event_type": "stats"}\n' + b"half a li\n" + event(9))
    assert intrusion.count(state, events) == {"1": 1, "2": 0, "3": 1, "4": 1}
    assert intrusion.count(state, events) == {"1": 1, "2": 0, "3": 1, "4": 1}
    with events.open("ab") as file:
        file.write(event(1))
    events.rename(tmp_path / "eve.json.1")
    events.write_bytes(event(2))
    assert intrusion.count(state, events) == {"1": 2, "2": 1, "3": 1, "4": 1}


def test_without_events_the_counters_are_there_at_nought(tmp_path: Path):
    text = "".join(intrusion.metrics(None, intrusion.count(tmp_path, tmp_path / "eve.json")))
    assert 'slipway_intrusion_detection_alerts_total{severity="1"} 0\n' in text
    assert "slipway_intrusion_detection_up 0\n" in text and "packets" not in text
    assert "slipway_intrusion_detection_packets_total 1000\n" in "".join(intrusion.metrics(WELL, {}))


@pytest.fixture
def suricata(tmp_path: Path):
    """Answers each command in turn, in pieces."""
    place = tmp_path / "socket"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(place))
    listening.listen()

    def answer(answers: list[dict[str, Any]]) -> str:
        def serve() -> None:
            with listening, listening.accept()[0] as client:
                for one in answers:
                    client.recv(1024)
                    text = json.dumps(one).encode() + b"\n"
                    client.sendall(text[:5])
                    client.sendall(text[5:])

        threading.Thread(target=serve, daemon=True).start()
        return str(place)

    return answer


def test_suricata_is_asked_by_its_own_socket(suricata, tmp_path: Path):
    well = [{"return": "OK"}, {"return": "OK", "message": COUNTERS}, {"return": "OK", "message": RULES}]
    assert intrusion.ask(suricata(well)) == Seen(uptime=17, packets=35, drops=2, loaded=9, refused=1)
    assert intrusion.ask(str(tmp_path / "nowhere")) is None


def test_an_answer_that_is_no_yes_is_none(suricata):
    assert intrusion.ask(suricata([{"return": "NOK"}])) is None
