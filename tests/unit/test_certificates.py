"""When certificates are renewed by their host, what the authority's host signs and refuses, and what is told of it."""

from __future__ import annotations

import datetime
import json

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.certificates import certificate as x
from ansible_collections.slipway.ops.plugins.module_utils.certificates import metrics, program
from ansible_collections.slipway.ops.plugins.module_utils.certificates.authority import (
    Authority,
    AuthorityError,
    request,
)
from ansible_collections.slipway.ops.plugins.module_utils.certificates.due import (
    AcmeError,
    certificate_id,
    moment,
    moment_in,
)
from ansible_collections.slipway.ops.plugins.module_utils.certificates.wishes import certificate_problems
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from test_certificate import DAY, GROUP, NOW, USER
from test_certificate import Authority as Issuer

NAMES = ["edge1", "127.0.0.1"]


@pytest.fixture(scope="module")
def internal():
    return Issuer()


def signed(internal, names=("edge1", "127.0.0.1"), begin=NOW, days=90.0):
    """A key, and a certificate of the internal authority for it."""
    key = x.new_key()
    asked = request(x.request(key, list(names)), internal.pem, internal.key)
    csr = x509.load_pem_x509_csr(json.loads(asked)["csr"].encode())
    authority = Authority(internal.key, internal.pem, days)
    return key, authority._sign(csr, x.parse(internal.pem), list(names), begin)


@pytest.mark.parametrize(
    ("days", "left", "due"),
    [(90, 31, False), (90, 29, True), (64, 22, False), (64, 21, True), (6, 3.2, False), (6, 2.8, True)],
)
def test_a_third_of_the_lifetime_decides_and_half_of_a_short_one(internal, days, left, due):
    begin = NOW - (days - left) * DAY
    key, leaf = signed(internal, begin=begin, days=days)
    found = x.why_renew(x.Bundle(key, leaf), NAMES, 0, NOW)
    assert bool(found) is due and ("days are left" in (found or "days are left"))


def test_a_renewal_has_the_new_key_and_the_names_of_the_old(internal):
    key, leaf = signed(internal)
    new = x.new_key()
    line = request(x.request(new, NAMES), leaf, key)
    renewed = Authority(internal.key, internal.pem, 90).renew(line, [["other"], ["127.0.0.1", "edge1"]], NOW)
    bundle = x.issued(renewed, new, NAMES, internal.pem)
    assert x.why_renew(bundle, NAMES, 0, NOW) is None
    assert not x.parse(renewed).extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_what_a_request_says_beyond_its_key_does_not_count(internal):
    key, leaf = signed(internal)
    new = x.parse_key(x.new_key())
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")]))
        .add_extension(x.alternative_names(NAMES), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(new, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    renewed = x.parse(Authority(internal.key, internal.pem, 90).renew(request(csr, leaf, key), [NAMES], NOW))
    assert not renewed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert renewed.subject == x.parse(leaf).subject


def other_key(internal, key, leaf):
    return request(x.request(x.new_key(), NAMES), leaf, x.new_key())


def other_names(internal, key, leaf):
    return request(x.request(x.new_key(), ["db1"]), leaf, key)


def swapped(internal, key, leaf):
    """Somebody on the way puts his own signing request into a good one."""
    return json.dumps(
        json.loads(request(x.request(x.new_key(), NAMES), leaf, key)) | {"csr": x.request(x.new_key(), NAMES)}
    )


def expired(internal, key, leaf):
    key, leaf = signed(internal, begin=NOW - 91 * DAY)
    return request(x.request(x.new_key(), NAMES), leaf, key)


def stranger(internal, key, leaf):
    """Of an authority with the same name and another key."""
    key, leaf = signed(Issuer())
    return request(x.request(x.new_key(), NAMES), leaf, key)


def not_given(internal, key, leaf):
    key, leaf = signed(internal, names=["gone"])
    return request(x.request(x.new_key(), ["gone"]), leaf, key)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (other_key, "it is not signed with the key of its certificate"),
        (swapped, "it is not signed with the key of its certificate"),
        (other_names, "it is for edge1, 127.0.0.1, and is asked for db1"),
        (expired, "its certificate expired at 2026-11-20 12:00 UTC; run site.yml"),
        (stranger, "its certificate is not of this authority, or of another generation"),
        (not_given, "the inventory gives gone to no host"),
        (lambda *_: "{}", "the request cannot be read"),
        (lambda *_: "[1]", "the request cannot be read"),
        (lambda *_: "\x00" * 70000, "the request cannot be read"),
    ],
)
def test_what_the_authority_refuses(internal, made, reason):
    key, leaf = signed(internal)
    with pytest.raises(AuthorityError, match=reason.replace(".", r"\.")):
        Authority(internal.key, internal.pem, 90).renew(made(internal, key, leaf), [NAMES], NOW)


def test_the_id_that_an_authority_knows_a_certificate_by():
    """The example of RFC 9773, 4.1: its key identifier and serial number, the latter with a leading zero byte."""
    issuer = x509.AuthorityKeyIdentifier(bytes.fromhex("69885b6b87464041e1b37b847bd0ae2cde01c8d4"), None, None)
    key = x.parse_key(x.new_key())
    name = x509.Name([])
    leaf = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0x87654321)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
        .add_extension(issuer, critical=False)
        .sign(key, hashes.SHA256())
    )
    assert certificate_id(leaf) == "aYhba4dGQEHhs3uEe9CuLN4ByNQ.AIdlQyE"


def test_a_moment_of_a_window_lies_in_it(internal):
    window = moment("2026-12-01T00:00:00.123456789Z"), moment("2026-12-03T00:00:00+00:00")
    for _ in range(20):
        leaf = x.parse(signed(internal)[1])
        assert window[0] <= moment_in(window, leaf) <= window[1]
        assert moment_in(window, leaf) == moment_in(window, leaf)


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (
            {"name": "a", "source": "acme", "names": ["*.x.test"]},
            "certificate_list: a: *.x.test can be proven by a record",
        ),
        ({"name": "a", "source": "acme"}, "certificate_list: a: source acme needs at least one of names"),
        ({"name": "a", "names": ["b"], "profile": "p"}, "certificate_list: a: profile is for source acme"),
        ({"name": "a", "source": "acme", "names": ["*.x.test"], "dns": {"zone": "x.test"}}, None),
        ({"name": "a", "mode": "0640"}, None),
        ({"name": "a", "mode": "640", "source": "files"}, None),
        ({"name": "a", "mode": 0o640}, "certificate_list: a: mode 416 is a number; write octal digits in quotes"),
        ({"name": "a", "mode": "416"}, "certificate_list: a: mode '416' has others use the private key"),
        ({"name": "a", "mode": "0644"}, "certificate_list: a: mode '0644' has others use the private key"),
        ({"name": "a", "mode": "u=rw"}, "certificate_list: a: mode is 'u=rw'; write three octal digits"),
        ({"name": "a", "source": "acme", "names": ["b"], "mode": 384}, "certificate_list: a: mode 384 is a number"),
    ],
)
def test_what_cannot_be_meant_of_a_list(item, problem):
    found = certificate_problems([item])
    assert (found == []) if problem is None else found[0].startswith(problem)


class Authorities:
    """An ACME authority that signs, or fails with what it is told to."""

    def __init__(self, issuer):
        self.issuer, self.fails, self.asked, self.opens = issuer, None, 0, None

    def obtain(self, csr, solver, profile):
        self.asked += 1
        if self.fails:
            raise self.fails
        request = x509.load_pem_x509_csr(csr.encode())
        return Authority(self.issuer.key, self.issuer.pem, 64)._sign(
            request, x.parse(self.issuer.pem), x.names_of(request), datetime.datetime.now(datetime.timezone.utc)
        )

    def window(self, leaf):
        return self.opens


@pytest.fixture
def host(tmp_path, internal, monkeypatch):
    """Runs of one host with one certificate by ACME, whose place the internal authority keeps."""
    place = tmp_path / "certificates" / "www"
    place.mkdir(parents=True)
    key, leaf = signed(internal, names=["www.test"], begin=datetime.datetime.now(datetime.timezone.utc))
    bundle = x.Bundle(key, leaf, roots=[internal.pem])
    for name, content in bundle.files.items():
        (place / name).write_text(content)
    (tmp_path / "ca.pem").write_text(internal.pem)
    (tmp_path / "state").mkdir()
    settings = {
        "root": str(tmp_path / "certificates"),
        "host": "edge1",
        "renew_below": 0,
        "authority": {"address": "127.0.0.1", "port": 1, "certificate": str(tmp_path / "ca.pem")},
        "acme": {"directory": "https://acme.test/dir", "email": "", "ca": ""},
        "certificates": [{"name": "www", "source": "acme", "names": ["www.test"], "owner": USER, "group": GROUP}],
    }
    acme = Authorities(Issuer("Public CA"))
    monkeypatch.setattr(program.Renewal, "_acme", lambda self: acme)
    monkeypatch.setattr(program, "replace", lambda path, content, mode: path.write_text(content))

    class Host:
        def __init__(self) -> None:
            self.acme, self.settings, self.place = acme, settings, place

        def __call__(self, after: datetime.timedelta = 0 * DAY, at_once: bool = False) -> Result:
            now = datetime.datetime.now(datetime.timezone.utc) + after
            (result,) = program.Renewal(self.settings, now, tmp_path / "state").run([], at_once)
            return result

    return Host()


def test_what_keeps_the_place_is_replaced_and_then_left_alone(host):
    assert host().verdict == "pass" and "Public CA" in str(x.parse((host.place / "fullchain.pem").read_text()).issuer)
    assert host().verdict == "pass" and host.acme.asked == 1
    host.acme.opens = (NOW - 400 * DAY, NOW - 399 * DAY)
    assert host().verdict == "pass" and host.acme.asked == 2, "the authority wants it renewed"


def test_one_that_cannot_even_be_looked_at_keeps_no_other_from_its_renewal(host, tmp_path):
    """Without the internal authority's certificate the first one cannot be judged; the second needs none of it."""
    host()
    internal_one = {"name": "inside", "names": ["edge1"], "owner": USER, "group": GROUP}
    host.settings["certificates"].insert(0, internal_one)
    host.settings["certificates"][1]["source"] = "files"
    (tmp_path / "ca.pem").unlink()
    now = datetime.datetime.now(datetime.timezone.utc)
    inside, www = program.Renewal(host.settings, now, tmp_path / "state").run([], False)
    assert (inside.verdict, www.verdict) == ("fail", "pass")
    assert str(inside.reason).startswith("the internal authority's certificate is not here")


def test_a_mode_that_is_a_number_is_refused_by_the_timer_too(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(program, "STATE", tmp_path / "state")
    monkeypatch.setattr(program, "make_directory", lambda path, mode: path.mkdir(exist_ok=True))
    settings = {"root": str(tmp_path), "renew_below": 0, "certificates": [{"name": "www", "mode": 0o640}]}
    configuration = tmp_path / "certificates.json"
    configuration.write_text(json.dumps(settings))
    assert program.main(["--configuration", str(configuration)]) == 1
    assert "write octal digits in quotes" in capsys.readouterr().err


def test_a_failure_keeps_the_old_one_warns_and_in_the_end_fails(host):
    host()
    kept = (host.place / "fullchain.pem").read_text()
    host.acme.fails = AcmeError("it is down")
    early = host(44 * DAY)
    assert early.verdict == "warn" and "fewer than 21.3" in early.reason and "it is down" in early.reason
    late = host(54 * DAY)
    assert (late.verdict, late.limit) == ("fail", "> 10.67") and (host.place / "fullchain.pem").read_text() == kept


def test_after_a_failure_the_authority_is_left_alone_for_a_while(host):
    host.acme.fails = AcmeError("too many certificates", limited=True)
    assert host().verdict == "fail"
    again = host(datetime.timedelta(hours=10))
    assert host.acme.asked == 1 and "too many certificates. It is not tried again before" in again.reason
    assert host(datetime.timedelta(hours=10), at_once=True) and host.acme.asked == 2, "an operator may"
    host.acme.fails = None
    assert host(datetime.timedelta(hours=22)).verdict == "pass"


def test_another_authority_or_profile_is_asked_anew(host):
    host()
    host.settings["acme"]["directory"] = "https://staging.test/dir"
    assert host().verdict == "pass" and host.acme.asked == 2
    assert host().verdict == "pass" and host.acme.asked == 2


def test_metrics_tell_ends_and_failures(internal):
    leaf = signed(internal)[1]
    text = metrics.exposition([("www", "acme", leaf), ("gone", "internal", "")], {"gone"}, NOW)
    assert 'slipway_certificate_not_after_timestamp_seconds{certificate="www",source="acme"} 1803038400' in text
    assert 'slipway_certificate_renewal_failed{certificate="gone",source="internal"} 1' in text
    assert 'lifetime_seconds{certificate="gone"' not in text
