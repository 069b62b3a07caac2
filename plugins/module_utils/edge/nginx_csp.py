# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`csp` of a site of nginx: a content security policy that is tried, then enforced, and reported either way.

The end point for browsers' reports is in templates/csp.j2 of role nginx.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

PATH = "/csp-reports"
_HEADER = {"report": "Content-Security-Policy-Report-Only", "enforce": "Content-Security-Policy"}


def csp_path(site: Mapping[str, Any]) -> str:
    """Where browsers send reports; empty for a site without `csp`."""
    return str((site.get("csp") or {}).get("path") or PATH) if site.get("csp") else ""


def csp_headers(site: Mapping[str, Any]) -> dict[str, str]:
    """The headers that `csp` adds. Browsers that do not know `report-to` yet go by `report-uri`."""
    wanted = site.get("csp")
    if not wanted:
        return {}
    policy = " ".join(str(wanted["policy"]).split()).rstrip("; ")
    path = csp_path(site)
    return {
        _HEADER[wanted["mode"]]: f"{policy}; report-uri {path}; report-to csp",
        "Reporting-Endpoints": f'csp="{path}"',
    }


def csp_problems(site: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the `csp` of a site that its types cannot say."""
    wanted = site.get("csp")
    if not wanted:
        return
    policy = str(wanted["policy"])
    if not policy.strip(" ;\r\n\t"):
        yield "csp.policy is empty"
    directives = {part.split()[0].lower() for part in policy.split(";") if part.split()}
    for taken in sorted(directives & {"report-uri", "report-to"}):
        yield f"csp.policy has {taken}, which the role adds; leave it out"
    path = csp_path(site)
    if not path.startswith("/") or any(sign in path for sign in " \"';,?#"):
        yield f"csp.path {path!r} is no path"
    if path in [location["path"] for location in site["locations"] if location.get("match") == "exact"]:
        yield f"csp.path {path} is a location of the site, too"
