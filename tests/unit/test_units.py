from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.core.units import (
    UnitError,
    byte_size,
    convert,
    duration,
    known,
    to_byte_size,
    to_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("2.5 d", 216000),
        (90, 90),
        ("90", 90),
        ("1 h 5 min 3 s", 3903),
        ("0", 0),
        (0.25, 0.25),
    ],
)
def test_duration_in_seconds(text, seconds):
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1x", "h", "-5s", "1h30", "5 s later", True, None, "1.2.3s"])
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(UnitError, match="1h30m"):
        duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5400, "1h30m"), (0.25, "250ms"), (0, "0s"), (1.5, "1.5s"), (172800, "2d"), (59.9996, "1m"), ("61", "1m1s")],
)
def test_seconds_as_text(seconds, text):
    assert to_duration(seconds) == text


@pytest.mark.parametrize("seconds", [0, 0.001, 0.999, 1, 59.5, 3600, 90061.25, 31536000])
def test_durations_survive_the_way_there_and_back(seconds):
    assert duration(to_duration(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256MiB", 2**28),
        ("256M", 2**28),
        ("1.5 GB", 1_500_000_000),
        ("512", 512),
        ("2k", 2048),
        ("2kB", 2000),
        ("7B", 7),
        ("7By", 7),
    ],
)
def test_size_in_bytes(text, size):
    assert byte_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "12 parsecs", "-1", True, None, "1 MiB 2 KiB"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(UnitError, match="256MiB"):
        byte_size(text)


def test_bytes_as_text():
    assert to_byte_size(2**28) == "256MiB"
    assert to_byte_size(1536 * 2**20) == "1.5GiB"
    assert to_byte_size(999) == "999B"
    assert to_byte_size(1_500_000, decimal=True) == "1.5MB"
    with pytest.raises(UnitError):
        to_byte_size(-1)


def test_units_convert_within_a_dimension_only():
    assert convert(0.5, "s", "ms") == pytest.approx(500)
    assert convert(0.995, "1", "%") == pytest.approx(99.5)
    assert convert(120, "1/min", "1/s") == pytest.approx(2)
    assert convert(1, "MiB/s", "KiB/s") == pytest.approx(1024)
    with pytest.raises(UnitError, match=r"'s'.*'By'"):
        convert(1, "s", "By")
    assert known("{request}/s")
    assert not known("parsec")
