"""What is said of brought certificates, when internal ones are renewed, and what a pass over a store leaves on disk."""

from __future__ import annotations

import datetime
import getpass
import grp
import os
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.certificates import certificate as x
from ansible_collections.slipway.ops.plugins.module_utils.certificates import pem
from ansible_collections.slipway.ops.plugins.module_utils.certificates.certificate import Bundle, CertificateError
from ansible_collections.slipway.ops.plugins.module_utils.certificates.store import DUE, PENDING_KEY, Store, Wanted
from ansible_collections.slipway.ops.plugins.module_utils.net.names import subject_alt_names
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
USER, GROUP = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name


class Authority:
    """An issuing authority for tests; without an issuer it signs itself."""

    def __init__(self, name="Test CA", issuer=None):
        self.key = x.new_key()
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pem = self._build(self.subject, self.key, issuer or self, [], NOW + 3650 * DAY)

    def sign(self, key, names, until=NOW + 90 * DAY):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
        return self._build(subject, key, self, names, until)

    def _build(self, subject, key, issuer, names, until):
        public = x.parse_key(key).public_key()
        signer = x.parse_key(issuer.key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 100 * DAY)
            .not_valid_after(until)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if names:
            alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternative, critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, NOW, 30, dry=False)


def wanted(**more):
    return Wanted(**{"name": "www", "names": ["www.test"], "owner": USER, "group": GROUP, **more})


def sign(authority, requests, until=NOW + 90 * DAY):
    """What the authority would answer: a certificate for the key of each request."""
    answers = {}
    for request in requests:
        csr = x509.load_pem_x509_csr(request["csr"].encode())
        key = Path(request["store"], request["name"], PENDING_KEY).read_text()
        assert csr.is_signature_valid
        answers[request["name"]] = authority.sign(key, request["names"], until)
    return answers


def install(store, authority, items, **options):
    first = store.apply(items, authority.pem, {})
    requests = [{**request, "store": store.root} for request in first.requests]
    return first, store.apply(items, authority.pem, sign(authority, requests, **options))


@pytest.mark.parametrize(
    ("names", "wants", "good"),
    [
        (["www.test"], "www.test", True),
        (["*.test"], "www.test", True),
        (["*.test"], "a.www.test", False),
        (["*.test"], "test", False),
        (["WWW.test"], "www.TEST", True),
        (["*.SHOP.Example.test"], "www.shop.example.test", True),
        (["*.xn--bcher-kva.test"], "www.Bücher.test", True),
        ([], "www.test", False),
    ],
)
def test_which_names_a_certificate_covers(store, authority, names, wants, good):
    key = x.new_key()
    item = wanted(source="files", names=[wants], certificate=authority.sign(key, names), key=key)
    if good:
        assert store.apply([item], "", {}).changed == ["www"]
    else:
        with pytest.raises(CertificateError, match=rf"not for {wants}"):
            store.apply([item], "", {})


def test_a_brought_chain_is_put_in_its_files(authority):
    middle = Authority("Middle", issuer=authority)
    key = x.new_key()
    bundle = x.brought(middle.sign(key, ["www.test"]), key, middle.pem + authority.pem, ["www.test"], NOW)
    assert pem.certificates(bundle.files["fullchain.pem"]) == [bundle.leaf.strip(), middle.pem.strip()]
    assert pem.certificates(bundle.files["chain.pem"]) == [middle.pem.strip(), authority.pem.strip()]


def test_a_chain_in_the_wrong_order_is_named(authority):
    middle = Authority("Middle", issuer=authority)
    key = x.new_key()
    with pytest.raises(CertificateError, match="chain is broken: CN=leaf was not issued by CN=Test CA"):
        x.brought(middle.sign(key, ["www.test"]), key, authority.pem + middle.pem, [], NOW)


def test_a_leaf_that_is_not_the_first_is_named(authority):
    middle = Authority("Middle", issuer=authority)
    key = x.new_key()
    given = authority.pem + middle.pem + middle.sign(key, ["www.test"])
    with pytest.raises(CertificateError, match=r"wrong order: the private key belongs to the 3\. of them \(CN=leaf\)"):
        x.brought(given, key, "", [], NOW)


def test_what_tools_write_around_the_blocks_does_not_count(authority):
    """Windows line ends, attributes in any language, a chain given twice."""
    middle = Authority("Middle", issuer=authority)
    key = x.new_key()
    leaf = middle.sign(key, ["www.test"])
    clean = x.brought(leaf + middle.pem, key, "", [], NOW).files
    said = "Bag Attributes\n    friendlyName: Bücher\n"
    saved, saved_key, chain = ((said + block).replace("\n", "\r\n") for block in (leaf + middle.pem, key, middle.pem))
    assert x.brought(saved, saved_key, chain, [], NOW).files == clean


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": x.new_key()}, "does not belong"),
        ({"key": "nonsense"}, "not readable"),
        ({"certificate": ""}, "no PEM certificate"),
        ({"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "not readable"),
        ({"now": NOW + 91 * DAY}, "expired at 2027-02-19"),
        ({"now": NOW - 101 * DAY}, "valid only from"),
        ({"names": ["other.test"]}, "is for www.test, not for other.test"),
    ],
)
def test_what_is_wrong_with_a_brought_certificate(authority, change, message):
    key = x.new_key()
    good = {
        "certificate": authority.sign(key, ["www.test"]),
        "key": key,
        "chain": "",
        "names": ["www.test"],
        "now": NOW,
    }
    assert x.brought(**good).key == key.strip()
    with pytest.raises(CertificateError, match=message):
        x.brought(**{**good, **change})


def test_a_key_with_a_pass_phrase_is_refused(authority):
    key = x.new_key()
    locked = x.parse_key(key).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    with pytest.raises(CertificateError, match="pass phrase"):
        x.brought(authority.sign(key, []), locked.decode(), "", [], NOW)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"leaf": ""}, "there is none yet"),
        ({"key": x.new_key()}, "does not belong"),
        ({"leaf": "cut off"}, "not readable"),
        ({"roots": [Authority().pem]}, "another authority"),
        ({"names": ["www.test", "new.test"]}, "it is for www.test"),
        ({"now": NOW + 61 * DAY}, "29.0 days are left, fewer than 30"),
    ],
)
def test_when_an_internal_certificate_is_renewed(authority, change, reason):
    key = x.new_key()
    installed = {"key": key, "leaf": authority.sign(key, ["www.test"]), "roots": [authority.pem]}
    bundle = Bundle(**{name: change.get(name, value) for name, value in installed.items()})
    found = x.why_renew(bundle, change.get("names", ["www.test"]), 30, change.get("now", NOW))
    assert str(reason) in str(found)


def test_a_store_is_filled_and_then_unchanged(store, authority):
    first, second = install(store, authority, [wanted()])
    assert [request["reason"] for request in first.requests] == ["there is none yet"]
    assert (second.changed, second.requests) == (["www"], [])
    key = store.root / "www" / "key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in key.parent.iterdir()) == ["chain.pem", "fullchain.pem", "key.pem"]
    again = store.apply([wanted()], authority.pem, {})
    assert (again.changed, again.certificates[0]["days_left"]) == ([], 90.0)


@pytest.mark.parametrize(
    ("given", "kind", "signed"),
    [
        ("FD00:0:0:0:0:0:0:0010", "IP", "fd00::10"),
        ("WWW.Test", "DNS", "www.test"),
        ("bücher.test", "DNS", "xn--bcher-kva.test"),
    ],
)
def test_a_name_is_signed_however_it_is_spelt(store, authority, given, kind, signed):
    (asked,) = store.apply([wanted(names=[given, signed])], authority.pem, {}).requests
    assert x.names_of(x509.load_pem_x509_csr(asked["csr"].encode())) == [signed]
    assert subject_alt_names([given, signed]) == [f"{kind}:{signed}"]


@pytest.mark.parametrize("item", [{"names": ["straße.test"]}, {"names": ["not a name"]}, {"name": "../elsewhere"}])
def test_what_cannot_be_a_name_is_refused(item):
    with pytest.raises(CertificateError, match="Nothing was changed"):
        wanted(**item)


def test_an_authority_is_one_certificate_with_unix_line_ends(authority):
    assert pem.authority("a", "comment\r\n" + authority.pem.replace("\n", "\r\n")) == authority.pem
    for given, said in ((authority.pem + Authority().pem, "2 PEM certificates"), ("", "no PEM certificate")):
        with pytest.raises(pem.PemError, match=f"'a' holds {said}"):
            pem.authority("a", given)


def test_a_wider_mode_is_narrowed(store, authority):
    install(store, authority, [wanted()])
    (store.root / "www" / "key.pem").chmod(0o644)
    assert store.apply([wanted()], authority.pem, {}).changed == ["www"]
    assert (store.root / "www" / "key.pem").stat().st_mode & 0o777 == 0o600


def test_a_renewal_keeps_the_old_pair_until_the_new_certificate_is_there(store, authority):
    install(store, authority, [wanted()], until=NOW + 10 * DAY)
    old = (store.root / "www" / "key.pem").read_text()
    for _killed_before_signing in range(2):
        requests = store.apply([wanted()], authority.pem, {}).requests
        assert (store.root / "www" / "key.pem").read_text() == old
    pending = (store.root / "www" / PENDING_KEY).read_text()
    store.apply([wanted()], authority.pem, sign(authority, [{**requests[0], "store": store.root}]))
    assert (store.root / "www" / "key.pem").read_text() == pending != old


def test_one_bad_item_stops_the_whole_list(store, authority):
    with pytest.raises(CertificateError, match=r"Certificate bad: .* Nothing was changed"):
        store.apply([wanted(), wanted(name="bad", source="files")], authority.pem, {})
    assert list(store.root.iterdir()) == []


def test_an_unknown_owner_is_named(store, authority):
    with pytest.raises(CertificateError, match=r"no-such-user:.* does not know that user or group"):
        store.apply([wanted(owner="no-such-user")], authority.pem, {})
    assert list(store.root.iterdir()) == []


def test_what_has_to_read_it_again_is_remembered_until_it_has(store, authority):
    """The run that installed it may have been killed before it told anybody."""
    item = wanted(reload=["nginx"])
    install(store, authority, [item])
    for _killed_before_its_handlers in range(2):
        assert store.apply([item], authority.pem, {}).changed == ["www"]
    (store.root / "www" / DUE).unlink()
    assert store.apply([item], authority.pem, {}).changed == []


def test_nobody_is_waited_for_who_no_longer_reads_it(store, authority):
    install(store, authority, [wanted(reload=["nginx"])])
    for _run in range(2):
        assert store.apply([wanted()], authority.pem, {}).changed == []
    assert not (store.root / "www" / DUE).exists()


def test_nothing_is_due_where_nothing_reads_it(store, authority):
    install(store, authority, [wanted()])
    assert store.apply([wanted()], authority.pem, {}).changed == []
    assert not (store.root / "www" / DUE).exists()


def test_a_certificate_for_another_key_is_not_installed(store, authority):
    store.apply([wanted()], authority.pem, {})
    with pytest.raises(CertificateError, match="not what was asked for"):
        store.apply([wanted()], authority.pem, {"www": authority.sign(x.new_key(), ["www.test"])})


def test_check_mode_writes_nothing(tmp_path, authority):
    outcome = Store(tmp_path, NOW, 30, dry=True).apply([wanted(owner="not-there-yet")], authority.pem, {})
    assert outcome.changed == ["www"] and list(tmp_path.iterdir()) == []


def test_a_brought_one_near_its_end_gives_a_warning(store, authority):
    key = x.new_key()
    item = wanted(source="files", certificate=authority.sign(key, ["www.test"], until=NOW + 20 * DAY), key=key)
    outcome = store.apply([item], "", {})
    assert outcome.changed == ["www"]
    assert outcome.warnings == ["Certificate www expires in 20.0 days; bring a renewed one."]
