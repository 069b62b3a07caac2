"""Certificates as their users see them: handshakes that verify, private keys, bad input that changes nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from machine import crowding, until
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
STORE = "/etc/slipway/certificates"
BROUGHT = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "brought"


def converge(**variables) -> Run:
    """Run the role again with other variables."""
    return play(SCENARIO / "converge.yml", SCENARIO / "inventory.yml", timeout=300, **variables)


def brought(certificate="shop", key="shop", names=("shop.example.test",)):
    pair = {"certificate": (BROUGHT / f"{certificate}.crt").read_text(), "key": (BROUGHT / f"{key}.key").read_text()}
    return {"name": "brought", "source": "files", "names": list(names), **pair}


def digests(host):
    return host.check_output(f"find {STORE} -type f -exec sha256sum {{}} + | sort -k2")


def serial(host, name="edge"):
    return host.check_output(f"openssl x509 -noout -serial -in {STORE}/{name}/fullchain.pem")


@pytest.fixture
def listener(host):
    """A TLS server on edge1 with the internal certificate."""
    host.check_output(
        f"systemd-run --unit=tls-listener --collect openssl s_server -accept 8443 -www -quiet"
        f" -cert {STORE}/edge/fullchain.pem -key {STORE}/edge/key.pem"
    )
    assert until(lambda: host.check_output("ss -Hltn 'sport = :8443'") != "", 30 * crowding())
    yield
    host.check_output("systemctl stop tls-listener")


def on(name):
    """Run a command on a host of this scenario, as another machine would."""

    def run(*command):
        done = subprocess.run(
            ["docker", "exec", f"slipway-certificate-{name}", *command],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_another_host_verifies_the_internal_certificate(host, listener):
    code, output = on("monitor1")("curl", "-sS", "--max-time", "5", "-o", "/dev/null", "https://edge1:8443/")
    assert code == 0, output


def test_an_authority_of_another_line_end_is_trusted(host):
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    assert host.run(f"openssl verify -CAfile {bundle} {STORE}/brought/fullchain.pem").rc == 0


def test_another_name_is_refused(host, listener):
    code, output = on("monitor1")(
        "curl", "-sS", "--max-time", "5", "--connect-to", "other.test:8443:edge1:8443", "https://other.test:8443/"
    )
    assert code == 60 and "matches target hostname" in output


def test_validity_and_names(host):
    text = host.check_output(f"openssl x509 -noout -text -in {STORE}/edge/fullchain.pem")
    assert "DNS:edge1, IP Address:127.0.0.1, IP Address:FD00:0:0:0:0:0:0:10\n" in text
    assert "CA:FALSE" in text
    assert host.run(f"openssl x509 -noout -checkend {91 * 86400} -in {STORE}/edge/fullchain.pem").rc == 1
    assert host.run(f"openssl x509 -noout -checkend {89 * 86400} -in {STORE}/edge/fullchain.pem").rc == 0


@pytest.mark.parametrize(
    ("name", "mode", "group"), [("edge", 0o600, "root"), ("shared", 0o640, "www-data"), ("brought", 0o600, "root")]
)
def test_keys_are_private_and_differ(host, name, mode, group):
    key = host.file(f"{STORE}/{name}/key.pem")
    assert (key.mode, key.user, key.group) == (mode, "root", group)
    assert host.run(f"find {STORE} -name '*.next'").stdout == ""


def test_the_authority_key_is_on_one_host_only(host):
    assert host.run("ls -d /etc/slipway/ca").rc != 0
    assert on("monitor1")("stat", "-c", "%a", "/etc/slipway") == (0, "755\n")
    code, output = on("monitor1")("stat", "-c", "%a %U", "/etc/slipway/ca", "/etc/slipway/ca/ca-1.key")
    assert (code, output.split()) == (0, ["700", "root", "600", "root"])


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (lambda: brought(certificate="expired"), "it expired at"),
        (lambda: brought(key="other"), "the private key does not belong to the certificate"),
        (lambda: brought(names=["www.example.test"]), "it is for shop.example.test, not for www.example.test"),
    ],
    ids=["expired", "other key", "other name"],
)
def test_a_bad_brought_certificate_changes_nothing(host, item, message):
    before = digests(host)
    run = converge(certificate_list=[{"name": "new", "names": ["new.test"]}, item()])
    assert run.code != 0
    assert message in run.said and "Nothing was changed" in run.said
    assert "PRIVATE KEY" not in run.output
    assert digests(host) == before


def test_a_misspelt_variable_is_refused(host):
    run = converge(certificate_lst=[])
    assert run.code != 0 and "certificate_lst" in run.output


def test_renewal_before_the_end_and_the_service_is_told(host):
    before, reloads = serial(host), host.run("cat /run/listener.reloads").stdout.count("reload")
    untouched = serial(host, "shared")
    host.check_output(f"rm {STORE}/shared/key.pem")  # a lost key is made anew, too
    run = converge(certificate_renew_below=91)
    assert run.code == 0, run.output
    assert serial(host) != before and serial(host, "shared") != untouched
    assert host.file("/run/listener.reloads").content_string.count("reload") == reloads + 1


def test_a_killed_renewal_goes_on(host):
    """A key that waits for its certificate, and a key that was swapped without it, are both mended."""
    host.check_output(f"cd {STORE}/edge && cp ../shared/key.pem key.pem.next && cp key.pem.next key.pem")
    run = converge()
    assert run.code == 0, run.output
    assert host.run(f"ls {STORE}/edge").stdout.split() == ["chain.pem", "fullchain.pem", "key.pem"]
    public = host.check_output(f"openssl pkey -pubout -in {STORE}/edge/key.pem")
    assert host.check_output(f"openssl x509 -noout -pubkey -in {STORE}/edge/fullchain.pem") == public


def test_the_authority_is_rotated_without_distrust(host, listener):
    """The old certificate, still served, and the new one both verify; afterwards the old authority is dropped."""
    run = converge(certificate_ca_generation=2, certificate_ca_trust_previous=True)
    assert run.code == 0, run.output
    elsewhere = on("monitor1")
    assert elsewhere("curl", "-sS", "--max-time", "5", "-o", "/dev/null", "https://edge1:8443/")[0] == 0
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    assert host.run(f"openssl verify -CAfile {STORE}/edge/chain.pem {STORE}/edge/fullchain.pem").rc == 0
    assert host.run(f"openssl verify -CAfile {bundle} {STORE}/edge/fullchain.pem").rc == 0

    run = converge(certificate_ca_generation=2)
    assert run.code == 0, run.output
    assert elsewhere("test", "-e", "/usr/local/share/ca-certificates/slipway-internal-ca-previous.crt")[0] == 1
    assert elsewhere("curl", "-sS", "--max-time", "5", "-o", "/dev/null", "https://edge1:8443/")[0] == 60
