# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""sslscan: which protocols a TLS endpoint speaks."""

from __future__ import annotations

from xml.etree import ElementTree

from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import ScanError


def argv(name: str, address: str, port: int, output: str) -> list[str]:
    place = f"[{address}]" if ":" in address else address
    options = ["--no-colour", "--no-ciphersuites", "--timeout=10", f"--xml={output}", f"--sni-name={name}"]
    return ["sslscan", *options, f"{place}:{port}"]


def read(text: str) -> list[str]:
    """The protocols that are enabled, such as TLSv1.3. One that asked nobody, for nobody was there, says nothing."""
    try:
        tests = ElementTree.fromstring(text).findall("ssltest")  # noqa: S314 - of a scanner on the same host
    except ElementTree.ParseError as error:
        raise ScanError("sslscan left no XML that can be read") from error
    protocols = [one for test in tests for one in test.findall("protocol")]
    if not protocols:
        raise ScanError("sslscan asked for no protocol; nobody answered it")
    enabled = [f"{one.get('type', '').upper()}v{one.get('version')}" for one in protocols if one.get("enabled") == "1"]
    if not enabled:
        raise ScanError("sslscan found no protocol at all; what listens there speaks no TLS")
    return enabled
