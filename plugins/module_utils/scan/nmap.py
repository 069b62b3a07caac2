# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nmap: which TCP ports of a host are open, beside those that the inventory knows."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import Finding, ScanError


def argv(address: str, output: str) -> list[str]:
    family = ["-6"] if ":" in address else []
    return ["nmap", *family, "-n", "-Pn", "-sT", "-p-", "-T4", "--max-retries", "2", "-oX", output, address]


def read(text: str, known: Iterable[int]) -> list[Finding]:
    """The open ports that are not known."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - of a scanner on the same host
    except ElementTree.ParseError as error:
        raise ScanError("nmap left no XML that can be read") from error
    finished, host = root.find("runstats/finished"), root.find("host")
    if finished is None or finished.get("exit") != "success":
        raise ScanError(f"nmap did not finish: {finished.get('errormsg') if finished is not None else 'no end'}")
    if host is None:  # it calls that a success, too
        raise ScanError("nmap found no host to ask")
    opened = [port for port in host.iterfind("ports/port") if port.find("state[@state='open']") is not None]
    return [_finding(port) for port in opened if int(port.get("portid", "0")) not in set(known)]


def _finding(port: ElementTree.Element) -> Finding:
    service = port.find("service")
    usual = f", usually {service.get('name')}" if service is not None else ""
    return Finding(f"{port.get('portid')}/{port.get('protocol')}", f"open, and no role's card has it{usual}")
