# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What makes a certificate usable: it parses, belongs to its key, covers its names, is in date, and its chain holds.

Runs with every cryptography from 3.4 (Ubuntu 22.04) on. Nothing here reads or writes files.
"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass, field

from ansible_collections.slipway.ops.plugins.module_utils.certificates import pem
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

UTC = datetime.timezone.utc


class CertificateError(Exception):
    """What an operator must mend, in one sentence."""


@dataclass
class Bundle:
    """A private key with its certificate and the certificates between it and a root, all PEM."""

    key: str
    leaf: str
    intermediates: list[str] = field(default_factory=list)
    roots: list[str] = field(default_factory=list)

    @property
    def files(self) -> dict[str, str]:
        """Contents by file name; the key comes first because the certificate is useless without it."""
        return {
            "key.pem": joined(self.key),
            "chain.pem": joined(*self.intermediates, *self.roots),
            "fullchain.pem": joined(self.leaf, *self.intermediates),
        }


def joined(*blocks: str) -> str:
    return "".join(block.strip() + "\n" for block in blocks)


def parse(text: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        raise CertificateError(f"the certificate is not readable as PEM ({error})") from error


def parse_key(text: str) -> ec.EllipticCurvePrivateKey:
    """Any private key; typed as the kind that is generated here."""
    try:
        return serialization.load_pem_private_key(text.encode(), password=None)  # type: ignore[return-value]
    except TypeError as error:
        raise CertificateError("the private key is protected by a pass phrase; give it without one") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError("the private key is not readable as PEM") from error


def not_after(certificate: x509.Certificate) -> datetime.datetime:
    return _moment(certificate, "not_valid_after")


def not_before(certificate: x509.Certificate) -> datetime.datetime:
    return _moment(certificate, "not_valid_before")


def _moment(certificate: x509.Certificate, attribute: str) -> datetime.datetime:
    if hasattr(certificate, f"{attribute}_utc"):  # from cryptography 42 on; the naive one warns there
        return getattr(certificate, f"{attribute}_utc")
    return getattr(certificate, attribute).replace(tzinfo=UTC)


def days_left(certificate: x509.Certificate, now: datetime.datetime) -> float:
    return round((not_after(certificate) - now).total_seconds() / 86400, 1)


def lifetime(certificate: x509.Certificate) -> float:
    """Days from its first to its last moment."""
    return (not_after(certificate) - not_before(certificate)).total_seconds() / 86400


def due_below(certificate: x509.Certificate) -> float:
    """Days left below which it is to be renewed: a third of its lifetime, half of one that is under ten days."""
    days = lifetime(certificate)
    return round(days / (2 if days < 10 else 3), 2)


def names_of(certificate: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    """DNS names and addresses it is for, in their one spelling."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    addresses = extension.value.get_values_for_type(x509.IPAddress)
    return [*(name.lower() for name in extension.value.get_values_for_type(x509.DNSName)), *map(str, addresses)]


def covers(certificate_names: list[str], name: str) -> bool:
    """Whether a client that wants ``name`` accepts a certificate for these names; all in their one spelling."""
    return name in certificate_names or "*." + name.partition(".")[2] in certificate_names


def belongs(key: str, certificate: x509.Certificate) -> bool:
    return _public(parse_key(key).public_key()) == _public(certificate.public_key())


def _public(key) -> bytes:  # type: ignore[no-untyped-def]
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """By name and key id: a new generation of an authority has the same name and another key."""
    if certificate.issuer != authority.subject:
        return False
    try:
        claimed = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        actual = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return True
    return claimed is None or claimed == actual


def brought(certificate: str, key: str, chain: str, names: list[str], now: datetime.datetime) -> Bundle:
    """The bundle of an operator's own certificate, or a CertificateError that says what is wrong with it."""
    blocks = pem.certificates(certificate + "\n" + chain)
    if not blocks:
        raise CertificateError("it holds no PEM certificate")
    key = pem.private_key(key)
    leaf, *rest = map(parse, blocks)
    if not belongs(key, leaf):
        raise CertificateError(_why_not_first(key, rest))
    if not_after(leaf) <= now:
        raise CertificateError(f"it expired at {not_after(leaf):%Y-%m-%d %H:%M} UTC; bring a renewed one")
    if not_before(leaf) > now:
        raise CertificateError(f"it is valid only from {not_before(leaf):%Y-%m-%d %H:%M} UTC on")
    known = names_of(leaf)
    missing = [name for name in names if not covers(known, name)]
    if missing:
        raise CertificateError(f"it is for {', '.join(known) or 'no name'}, not for {', '.join(missing)}")
    for lower, upper in zip([leaf, *rest], rest, strict=False):
        if not issued_by(lower, upper):
            pair = f"{lower.subject.rfc4514_string()} was not issued by {upper.subject.rfc4514_string()}"
            raise CertificateError(f"its chain is broken: {pair}")
    roots = [block for block, parsed in zip(blocks[1:], rest, strict=True) if parsed.subject == parsed.issuer]
    intermediates = [block for block in blocks[1:] if block not in roots]
    return Bundle(key=key, leaf=blocks[0], intermediates=intermediates, roots=roots)


def _why_not_first(key: str, rest: list[x509.Certificate]) -> str:
    """The key is not the first certificate's: it is another one's, or no one's."""
    for place, certificate in enumerate(rest, start=2):
        if belongs(key, certificate):
            found = f"the {place}. of them ({certificate.subject.rfc4514_string()})"
            return (
                f"its certificates are in the wrong order: the private key belongs to {found}, which must "
                "come first, then the one that issued it, then that one's issuer"
            )
    return "the private key does not belong to the certificate; give the pair that was made together"


def why_renew(bundle: Bundle, names: list[str], renew_below: float, now: datetime.datetime) -> str | None:
    """Why a new certificate is needed; None while the installed one is good.

    It is to be of the authority ``bundle.roots[0]``, where one is given. Without ``renew_below`` its lifetime decides.
    """
    if reason := why_unusable(bundle):
        return reason
    installed = parse(bundle.leaf)
    left, limit = days_left(installed, now), renew_below or due_below(installed)
    reasons = {
        f"{left} days are left, fewer than {limit:g}": left < limit,
        f"it is for {', '.join(names_of(installed))}": sorted(names_of(installed)) != sorted(names),
        "another authority or generation issued it": bool(bundle.roots)
        and not issued_by(installed, parse(bundle.roots[0])),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def why_unusable(bundle: Bundle) -> str | None:
    """Why no server could start with the pair; None when one could, if perhaps with a certificate that has expired."""
    if not bundle.leaf or not bundle.key:
        return "there is none yet"
    try:
        matches = belongs(bundle.key, parse(bundle.leaf))
    except CertificateError as error:
        return str(error)
    return None if matches else "the installed key does not belong to it"


def issued(certificate: str, key: str, names: list[str], authority: str) -> Bundle:
    """The bundle of what the internal authority has just signed, checked against what was asked for."""
    parsed = parse(certificate)
    if not belongs(key, parsed) or sorted(names_of(parsed)) != sorted(names):
        raise CertificateError("what the authority signed is not what was asked for")
    return Bundle(key=key, leaf=certificate, roots=[authority])


def new_key() -> str:
    """A P-256 private key, PKCS #8 PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def request(key: str, names: list[str], common_name: bool = True) -> str:
    """A signing request for a server and client certificate, PEM."""
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])] if common_name else []
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)  # digital signature alone
    extended = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH])
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(subject))
        .add_extension(alternative_names(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(extended, critical=False)
        .sign(parse_key(key), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def alternative_names(names: list[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general(name) for name in names])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
