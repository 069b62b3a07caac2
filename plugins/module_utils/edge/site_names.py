# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names of nginx' sites, as nginx compares them and as clients ask for them."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.net.names import ascii_name

_ADDRESS = re.compile(r"\[[0-9a-fA-F:.]+\]")


def server_name(domain: str) -> str:
    """A domain as nginx compares it, small and in ASCII; ``.example.com``, ``www.example.*``, ``~regex`` too."""
    domain = str(domain)
    if domain.startswith("~") or _ADDRESS.fullmatch(domain):
        return domain
    before, after = "." * domain.startswith("."), ".*" * domain.endswith(".*")
    return before + ascii_name(domain.removeprefix(".").removesuffix(".*")) + after


def site_host(domain: str) -> str:
    """A host name that a domain stands for, to ask the site by; empty when it does not tell one."""
    name = server_name(domain)
    if name.startswith(("~", "[")) or name.endswith(".*"):
        return ""
    return name.removeprefix(".").replace("*", "www")


def site_probes(sites: list[dict[str, Any]], address: str, http_port: int, https_port: int) -> list[dict[str, Any]]:
    """How each domain that is a host name is asked from outside, at nginx's first address."""
    return [
        {"name": name, "scheme": scheme, "port": port, "address": address.strip("[]")}
        for site in sites
        for scheme, port in [("https", https_port) if site.get("certificate") else ("http", http_port)]
        for name in dict.fromkeys(site_host(domain) for domain in site["domains"])
        if name
    ]
