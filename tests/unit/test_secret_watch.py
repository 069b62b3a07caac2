"""The watch for secrets, on this machine's own processes; in containers the scenarios use it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from urllib.parse import quote

import pytest
from machine import until
from secret_watch import SecretWatch, forms

SECRET = "s3cret: \"of\\this'test/é+"


def here(name):
    """Instead of a container, this machine."""
    assert name == "here"
    return []


def watch(tmp_path, secret=SECRET):
    return SecretWatch({"the key": secret}, ["here"], [str(tmp_path)], here)


@pytest.mark.parametrize("before", ["", "a", "ab", "user:", "longer user:"])
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
def test_it_is_known_in_base64_wherever_it_stands(before, after):
    text = (before + SECRET + after).encode()
    for coded in (base64.b64encode(text), base64.urlsafe_b64encode(text)):
        assert any(form in coded.decode() for form in forms(SECRET))


def test_it_is_known_as_urls_and_json_write_it():
    for written in (SECRET, quote(SECRET, safe=""), json.dumps({"a": SECRET}), f"postgresql://u:{quote(SECRET, '')}@h"):
        assert any(form in written for form in forms(SECRET))
    assert not any(form in "s3cret: \"of\\another'test/é+" for form in forms(SECRET))


def test_nothing_is_found_where_nothing_is(tmp_path):
    (tmp_path / "log").write_text("all is well\n")
    with watch(tmp_path) as eyes:
        pass
    eyes.verify()
    looked = eyes.looked["here"]
    assert looked.samples > 0 and looked.starts == 1 and looked.read[str(tmp_path)] == 12
    assert eyes.saw("here", "<canary>") and eyes.saw("here", "pytest")


def test_a_secret_on_a_command_line_is_found_and_not_shown(tmp_path):
    with watch(tmp_path) as eyes:
        program = [sys.executable, "-c", "import time; time.sleep(60)", f"--cipher-pass={SECRET}"]
        with subprocess.Popen(program) as process:
            assert until(lambda: eyes.sightings, 30)
            process.kill()
    with pytest.raises(AssertionError, match=r"the key is in a command of here: .*--cipher-pass=<the key>") as told:
        eyes.verify()
    assert SECRET not in str(told.value)


def test_a_command_of_a_second_is_found_also_when_the_watch_has_just_begun(tmp_path):
    with watch(tmp_path) as eyes:
        for _ in range(20):  # a starved watch may look once in a while only
            subprocess.run([sys.executable, "-c", "import time; time.sleep(1)", SECRET], check=True)
            if eyes.sightings:
                break
    assert eyes.sightings


@pytest.mark.parametrize("text", [SECRET, base64.b64encode(f"user:{SECRET}".encode()).decode()])
def test_a_secret_in_a_file_is_found_and_not_shown(tmp_path, text):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "log").write_text(f"first\nAuthorization: {text}\n")
    with watch(tmp_path) as eyes, pytest.raises(AssertionError, match=r"the key is in a .*/below/log of here") as told:
        eyes.verify()
    assert text not in str(told.value)


def test_a_watch_that_saw_nothing_at_all_proves_nothing(tmp_path):
    blind = SecretWatch({"the key": SECRET}, ["gone"], [str(tmp_path)], lambda name: ["false"])
    with pytest.raises(AssertionError, match="nothing was looked at in gone"):
        blind.verify(gone=["gone"])


def test_a_program_that_ended_is_started_again(tmp_path):
    starts = tmp_path / "starts"

    def short_lived(name):
        return ["sh", "-c", f'echo >> {starts}; exec timeout 2 "$@"', "sh"]

    with SecretWatch({"the key": SECRET}, ["here"], [str(tmp_path)], short_lived) as eyes:
        assert until(lambda: eyes.looked["here"].starts > 1, 60)
        assert starts.stat().st_size > 1


def test_what_is_too_short_is_refused():
    with pytest.raises(AssertionError, match=r"too short to be looked for: \['pin'\]"):
        SecretWatch({"pin": "1234"}, [])
