# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the web application firewall does for one site, as rules of ModSecurity.

nginx reads the rules of CRS once, for all sites. Those here come before them for the requests of one site, so that what
they set (mode, paranoia, sizes, exclusions) is known to CRS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_oidc import SESSION, signs_in

ENGINE = {"detect": "DetectionOnly", "block": "On"}
FIRST_ID = 10_000
"""Rules of a site are numbered from here: ModSecurity leaves numbers below 100,000 to whoever runs it."""

SESSION_ID = 9_999

LARGEST_BODY = 2**30
"""Bytes; ModSecurity reads no more, and nginx' `0` means no limit."""

_SIZE = re.compile(r"(\d+)([kKmMgG]?)")
_FACTOR = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_RULES = re.compile(r"\d+(-\d+)?")
_PATH = re.compile(r"/[^\s\"'\\]*")
_PARAMETER = re.compile(r"[A-Z_]+(:[^\s\"'\\,;|]+)?")


@dataclass(frozen=True)
class Exclusion:
    """Rules that are not asked on a site: on paths that begin with `path`, of `parameter`, or of the whole."""

    rules: tuple[str, ...]
    path: str
    parameter: str
    reason: str

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Exclusion:
        rules = tuple(str(rule) for rule in given.get("rules") or ())
        return cls(rules, given.get("path") or "", given.get("parameter") or "", str(given.get("reason") or "").strip())

    def problems(self) -> Iterator[str]:
        if not self.reason:
            yield "an exclusion has no reason"
        if wrong := [rule for rule in self.rules if not _RULES.fullmatch(rule)]:
            yield f"{', '.join(wrong)} is neither a rule's number nor a range such as 942100-942199"
        if self.path and not _PATH.fullmatch(self.path):
            yield f"path {self.path!r} does not begin with / or has blanks, quotes or backslashes"
        if self.parameter and not _PARAMETER.fullmatch(self.parameter):
            yield f"parameter {self.parameter!r} is none of ModSecurity's, such as ARGS:comment"
        if self.parameter and (not self.rules or any("-" in rule for rule in self.rules)):
            yield f"parameter {self.parameter} needs the numbers of single rules"
        if not (self.rules or self.path):
            yield "an exclusion has neither rules nor path; mode: detect lets everything of the site pass"

    def lines(self, number: int) -> list[str]:
        if not (self.path or self.parameter):
            return [f"SecRuleRemoveById {' '.join(self.rules)}"]
        actions = ",".join(self._actions())
        where = f'SecRule REQUEST_FILENAME "@beginsWith {self.path}"' if self.path else "SecAction"
        return [f'{where} "id:{number},phase:1,pass,t:none,nolog,{actions}"']

    def _actions(self) -> Iterator[str]:
        if not self.rules:
            yield "ctl:ruleEngine=Off"
        for rule in self.rules:
            yield (
                f"ctl:ruleRemoveTargetById={rule};{self.parameter}" if self.parameter else f"ctl:ruleRemoveById={rule}"
            )


def body_limit(sizes: list[str]) -> int:
    """Bytes of the largest body that nginx lets through on a site, of texts in nginx' notation."""
    return max(_bytes(size) for size in sizes) or LARGEST_BODY


def _bytes(size: str) -> int:
    found = _SIZE.fullmatch(str(size))
    if not found:
        raise ValueError(f"body_size {size!r} is no size of nginx', such as 64k or 10m")
    number = int(found[1]) * _FACTOR[found[2].lower()]
    return min(number, LARGEST_BODY) or LARGEST_BODY


def exclusions(site: Mapping[str, Any]) -> list[Exclusion]:
    return [Exclusion.read(given) for given in (site.get("waf") or {}).get("exclusions") or []]


def waf_rules(site: Mapping[str, Any], body_size: str) -> str:
    """The rules of one of `nginx_sites` that has `waf`; `body_size` is that of sites without one of their own."""
    wanted = site["waf"]
    limit = body_limit([*_body_sizes(site), site.get("body_size") or body_size])
    lines = [
        f"SecRuleEngine {ENGINE[wanted['mode']]}",
        f"SecRequestBodyLimit {limit}",
        f"SecRequestBodyNoFilesLimit {limit}",
        f'SecAction "id:{FIRST_ID},phase:1,pass,t:none,nolog,{_settings(wanted)}"',
    ]
    if signs_in(site):
        # What is encrypted looks like anything now and then. The cookie goes to who verifies it, and to no pool.
        actions = f"ctl:ruleRemoveTargetByTag=OWASP_CRS;REQUEST_COOKIES:{SESSION}"
        lines.append(f'SecAction "id:{SESSION_ID},phase:1,pass,t:none,nolog,{actions}"')
    for number, exclusion in enumerate(exclusions(site), FIRST_ID + 1):
        lines += [f"# {' '.join(exclusion.reason.split())}", *exclusion.lines(number)]
    return "\n\n".join(lines) + "\n"


def _body_sizes(site: Mapping[str, Any]) -> Iterator[str]:
    for location in site.get("locations") or []:
        if location.get("body_size"):
            yield str(location["body_size"])


def _settings(wanted: Mapping[str, Any]) -> str:
    paranoia = int(wanted.get("paranoia") or 1)
    values = {"blocking_paranoia_level": paranoia, "detection_paranoia_level": paranoia}
    if wanted.get("threshold"):
        values["inbound_anomaly_score_threshold"] = int(wanted["threshold"])
    return ",".join(f"setvar:tx.{name}={value}" for name, value in values.items())


def waf_problems(sites: list[dict[str, Any]], enabled: bool) -> list[str]:
    """What is wrong with the `waf` of sites that its types cannot say, one sentence each."""
    guarded = [site for site in sites if site.get("waf")]
    if guarded and not enabled:
        return [f"{guarded[0]['name']}: waf needs role waf on this host; set waf_enabled: true"]
    return [
        f"{site['name']}: {problem}"
        for site in guarded
        for exclusion in exclusions(site)
        for problem in exclusion.problems()
    ]
