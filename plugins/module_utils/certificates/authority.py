# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Renewals of internal certificates: what a host asks the authority's host, and what that one signs.

A request is a line of JSON: a signing request, the host's present certificate, and a signature over the signing request
by that certificate's key. Nothing in it is secret, and nobody can make one without that key, so it needs no other
protection on its way: who sends it again gets a certificate for a key that he has not. What comes back is judged as any
certificate before it is installed.

On the authority's host systemd starts this for each connection. The names that the inventory gives to each host lie
there as JSON; what is not among them any more is not renewed.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import datetime
import json
import os
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.certificates import certificate as x
from ansible_collections.slipway.ops.plugins.module_utils.certificates.certificate import CertificateError
from ansible_collections.slipway.ops.plugins.module_utils.net.names import canonical
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LONGEST = 65536  # of a request or an answer, in bytes
_PURPOSE = b"slipway: renew this\n"


class AuthorityError(Exception):
    """Why there is no new certificate, in one sentence."""


@dataclass(frozen=True)
class Authority:
    """The key and certificate that sign, for how many days."""

    key: str
    certificate: str
    days: float

    def renew(self, line: str, allowed: Iterable[Iterable[str]], now: datetime.datetime) -> str:
        """The certificate, PEM, that a request asks for; an AuthorityError when it must not have it."""
        csr, current = self._read(line, now)
        names = x.names_of(csr)
        if sorted(names) != sorted(x.names_of(current)):
            raise AuthorityError(f"it is for {', '.join(x.names_of(current))}, and is asked for {', '.join(names)}")
        if sorted(names) not in [sorted(entry) for entry in allowed]:
            raise AuthorityError(f"the inventory gives {', '.join(names)} to no host; run site.yml if it should")
        return self._sign(csr, current, names, now)

    def _read(self, line: str, now: datetime.datetime) -> tuple[x509.CertificateSigningRequest, x509.Certificate]:
        try:
            asked = json.loads(line)
            csr = x509.load_pem_x509_csr(asked["csr"].encode())
            current = x.parse(asked["certificate"])
            signature = base64.b64decode(asked["signature"], validate=True)
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, CertificateError) as error:
            raise AuthorityError("the request cannot be read") from error
        if not self._issued(current):
            raise AuthorityError("its certificate is not of this authority, or of another generation; run site.yml")
        if not x.not_before(current) <= now < x.not_after(current):
            raise AuthorityError(f"its certificate expired at {x.not_after(current):%Y-%m-%d %H:%M} UTC; run site.yml")
        if not csr.is_signature_valid or not _verified(current, signature, _PURPOSE + asked["csr"].encode()):
            raise AuthorityError("it is not signed with the key of its certificate")
        return csr, current

    def _issued(self, current: x509.Certificate) -> bool:
        authority = x.parse(self.certificate)
        if not x.issued_by(current, authority) or current.signature_hash_algorithm is None:
            return False
        return _verified(authority, current.signature, current.tbs_certificate_bytes, current.signature_hash_algorithm)

    def _sign(
        self, csr: x509.CertificateSigningRequest, current: x509.Certificate, names: list[str], now: datetime.datetime
    ) -> str:
        """Only the key is the request's; everything else is as in every internal certificate."""
        authority = x.parse(self.certificate)
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        extended = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        )
        return (
            x509.CertificateBuilder()
            .subject_name(current.subject)
            .issuer_name(authority.subject)
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))  # hosts' clocks differ
            .not_valid_after(now + datetime.timedelta(days=self.days))
            .add_extension(x.alternative_names(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(extended, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(csr.public_key()), critical=False)
            .add_extension(issuer, critical=False)
            .sign(x.parse_key(self.key), hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
            .decode()
        )


def request(csr: str, certificate: str, key: str) -> str:
    """The line that asks for a renewal of ``certificate``, whose key this is."""
    signature = x.parse_key(key).sign(_PURPOSE + csr.encode(), ec.ECDSA(hashes.SHA256()))
    asked = {"csr": csr, "certificate": certificate, "signature": base64.b64encode(signature).decode()}
    return json.dumps(asked) + "\n"


def ask(address: str, port: int, line: str, timeout: float = 20.0) -> str:
    """What the authority's host answers: the certificate, PEM."""
    place = f"the authority at {address} port {port}"
    try:
        with socket.create_connection((address, port), timeout) as connection:
            connection.sendall(line.encode())
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.read(LONGEST) or b"null")
    except OSError as error:
        raise AuthorityError(f"{place} does not answer ({error.strerror or error})") from error
    except ValueError as error:
        raise AuthorityError(f"{place} answered what is no JSON") from error
    if isinstance(answer, dict) and isinstance(answer.get("certificate"), str):
        return answer["certificate"]
    reason = answer.get("refused") if isinstance(answer, dict) else "nothing; its journal says why"
    raise AuthorityError(f"{place} refused: {reason}")


def _verified(
    by: x509.Certificate, signature: bytes, content: bytes, algorithm: hashes.HashAlgorithm | None = None
) -> bool:
    key = by.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):  # the authority makes no others
        return False
    try:
        key.verify(signature, content, ec.ECDSA(algorithm or hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _allowed(directory: Path) -> list[list[str]]:
    found: list[list[str]] = []
    for path in sorted(directory.glob("*.json")):
        found += [list(map(canonical, names)) for names in json.loads(path.read_text(encoding="utf-8")).values()]
    return found


def main(argv: list[str] | None = None) -> int:
    """Answers one request, from standard input; what it did goes to standard error, the journal."""
    parser = argparse.ArgumentParser(prog="slipway-authority", description="Renew one internal certificate.")
    parser.add_argument("--authority", required=True, help="path of its .key and .crt, without these endings")
    parser.add_argument("--allowed", type=Path, required=True, help="directory with the names of each host")
    parser.add_argument("--days", type=float, required=True, help="for which a certificate is valid")
    given = parser.parse_args(argv)
    peer = os.environ.get("REMOTE_ADDR", "somebody")
    key, certificate = (Path(given.authority + ending).read_text(encoding="ascii") for ending in (".key", ".crt"))
    authority = Authority(key, certificate, given.days)
    try:
        line = sys.stdin.buffer.read(LONGEST).decode("utf-8", errors="replace")
        signed = authority.renew(line, _allowed(given.allowed), datetime.datetime.now(datetime.timezone.utc))
    except AuthorityError as error:
        print(f"refused {peer}: {error}", file=sys.stderr)
        print(json.dumps({"refused": str(error)}))
        return 0
    print(f"renewed {', '.join(x.names_of(x.parse(signed)))} for {peer}", file=sys.stderr)
    print(json.dumps({"certificate": signed}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
