# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Services as files for Kubernetes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.release import kubernetes
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError
from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import (
    ServiceError,
    check_known,
    find_service,
    service_names,
)

HEAD = "# {} of {}, rendered by kubernetes.yml from app_services. Change the inventory, not this file.\n"


class _Dumper(yaml.SafeDumper):
    """Plain YAML without aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def kubernetes_files(
    hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], versions: Mapping[str, Any], **cluster: str
) -> list[dict[str, Any]]:
    """See kubernetes_files.yml."""
    apps = {host: hostvars[host].get("app_services", []) for host in groups.get("app", [])}
    sites = [site for edge in groups.get("edge", [])[:1] for site in hostvars[edge].get("nginx_sites", []) or []]
    found = []
    try:
        known = sorted({name for services in apps.values() for name in service_names(services)})
        if not known:
            raise RequestError("No host of group app has app_services: is this the right inventory (-i)?")
        for name, version in versions.items():
            check_known(str(name), known)
            _refuse_number(str(name), version)
        for name in known:
            described = [find_service(services, name) for services in apps.values() if name in service_names(services)]
            made: dict[str, Any] = {"files": {}, "needs": [], "problems": []}
            if name in versions:
                ways = kubernetes.ways(described[0], sites)
                made = _files(described, str(versions[name]), ways, kubernetes.Cluster(**cluster))
                made["needs"] += kubernetes.by_hand(described[0], sites)
            found.append({"service": name} | made)
    except (RequestError, ServiceError) as error:
        raise AnsibleFilterError(str(error)) from error
    return found


def _refuse_number(name: str, version: Any) -> None:
    """What YAML has read as a number has lost its zeros: 2.10 is 2.1 by now."""
    if not isinstance(version, str):
        raise RequestError(f"The version of {name} is no text, but {version!r}: put it in quotes, as {name}: '2.10'.")


def _files(
    described: Sequence[Service], version: str, ways: Sequence[kubernetes.Way], cluster: kubernetes.Cluster
) -> dict[str, Any]:
    """A service's files, what they need, and what is in the way; it is described once for each of its hosts."""
    service = described[0]
    problems = [f"{service.name}: {told}" for told in kubernetes.problems(service, version)]
    if problems:
        return {"files": {}, "needs": [], "problems": problems}
    made = kubernetes.render(service, version, len(described), ways, cluster)
    return {"files": dict(_texts(service.name, version, made)), "needs": made.needs, "problems": []}


def _texts(name: str, version: str, made: kubernetes.Rendered) -> Iterator[tuple[str, str]]:
    head = HEAD.format(version, name)
    for path, objects in ((f"{name}.yml", made.objects), (f"migrations/{name}.yml", made.migration)):
        text = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120, explicit_start=True)
        yield path, head + text if objects else ""


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"kubernetes_files": kubernetes_files}
