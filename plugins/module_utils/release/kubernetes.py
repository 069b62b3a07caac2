# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The objects of Kubernetes (1.31 and later) that run a service, from the same description as its Compose projects.

``instances`` and limits of scaling are per app host on hosts; here they are multiplied by their number.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.edge.nginx_access import for_some
from ansible_collections.slipway.ops.plugins.module_utils.edge.site_names import server_name
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError, check_version
from ansible_collections.slipway.ops.plugins.module_utils.service.model import Service, Worker

Manifest = dict[str, Any]
LEAVING = 5
"""Seconds that an instance which is to end still answers: until then somebody may not know yet that it leaves."""
MIGRATION = "migration"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgt]?)i?b?", re.IGNORECASE)


@dataclass(frozen=True)
class Cluster:
    """Where the objects go: the ``namespace`` (empty is that of who applies them) and the edge's, the class of Ingress
    (empty is the default's), and the Secret by which images are pulled."""

    namespace: str = ""
    edge_namespace: str = "ingress-nginx"
    ingress_class: str = ""
    pull_secret: str = ""


@dataclass(frozen=True)
class Way:
    """A path of a site that leads to the service, or to nobody when it is ``closed``."""

    domains: list[str]
    path: str
    exact: bool
    tls: bool
    closed: bool = False


@dataclass(frozen=True)
class Rendered:
    """The objects that run a service, those of its migration, and what has to be there already."""

    objects: list[Manifest]
    migration: list[Manifest] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)


def problems(service: Service, version: str) -> list[str]:
    """What Kubernetes has no word for, or must not have: each a clause."""
    found = [f"host_mounts ({mount.source}): an image or a volume has to bring it" for mount in service.host_mounts]
    found += [f"networks ({name}): a NetworkPolicy says there who reaches whom" for name in service.networks]
    if service.restart in ("no", "on-failure"):
        found.append(f"restart {service.restart}: a Deployment's containers are always started again")
    found += [
        f"the volume's name {volume.name}: there it has lower-case letters, digits and dashes"
        for volume in service.volumes
        if not _NAME.fullmatch(_claim(service, volume.name))
    ]
    try:
        if not _VALUE.fullmatch(check_version(version)):
            found.append(f"version {version}: as a label it has at most 63 letters, digits, dots and dashes")
    except RequestError as error:
        found.append(str(error))
    return found


def ways(service: Service, sites: Sequence[Mapping[str, Any]]) -> list[Way]:
    """The paths of nginx's sites that lead to the service's pool, and those beside them that the edge closes: a path
    above would open them. Regular expressions are no path of an Ingress; a site that closes one has no way in."""
    return [
        Way(domains, str(location["path"]), location.get("match") == "exact", bool(site.get("certificate")), closed)
        for site in _sites_of(service, sites)
        for domains in (_hosts(site),)
        if domains and not _closed_by_expression(site)
        for location in site["locations"]
        for closed in (_closed(location, site),)
        if (closed or _leads_to(location, service)) and location.get("match") != "regex"
    ]


def by_hand(service: Service, sites: Sequence[Mapping[str, Any]]) -> list[str]:
    """What an operator has to say in the cluster, for an Ingress has no word for it."""
    found = []
    for site in _sites_of(service, sites):
        domain, expressions = site["domains"][0], _closed_by_expression(site)
        shut = [str(place["path"]) for place in site["locations"] if _closed(place, site) and not place.get("respond")]
        if expressions:
            found.append(f"an Ingress for {domain} by hand: on the edge not everybody reaches {', '.join(expressions)}")
        elif shut:
            found.append(f"who may reach {', '.join(shut)} of {domain}: nobody does there")
    return found


def _sites_of(service: Service, sites: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [site for site in sites if any(_leads_to(location, service) for location in site["locations"])]


def _hosts(site: Mapping[str, Any]) -> list[str]:
    """The names of a site as DNS has them; an Ingress knows a wildcard as its first label, and no expressions."""
    names = [name.removeprefix(".") for name in map(server_name, map(str, site["domains"]))]
    return [name for name in dict.fromkeys(names) if _DOMAIN.fullmatch(name)]


def _leads_to(location: Mapping[str, Any], service: Service) -> bool:
    return str(location.get("pool")) == f"127.0.0.1:{service.edge_port}"


def _closed(location: Mapping[str, Any], site: Mapping[str, Any]) -> bool:
    """Whether the edge itself says who may come, or that nobody may."""
    return int(location.get("respond") or 200) >= 400 or for_some(location, site)


def _closed_by_expression(site: Mapping[str, Any]) -> list[str]:
    return [
        str(location["path"])
        for location in site["locations"]
        if location.get("match") == "regex" and _closed(location, site)
    ]


def render(service: Service, version: str, hosts: int, entries: Sequence[Way], cluster: Cluster) -> Rendered:
    """Everything of a service in the order in which it is applied; no value of a secret is in it."""
    made = _Objects(service, version, hosts, cluster)
    objects = [made.account(), *made.configuration(), made.app(), *(made.worker(one) for one in service.workers)]
    objects += [made.service(), *made.scaler(), *made.budget(), *made.policies(bool(entries)), *made.ingress(entries)]
    needs = [f"Secret {service.name} with {', '.join(sorted(service.secrets))}"] if service.secrets else []
    needs += [f"PersistentVolumeClaim {_claim(service, volume.name)}" for volume in service.volumes]
    needs += [f"Secret {service.name}-tls" for _ in [way for way in entries if way.tls][:1]]
    needs += [f"Secret {cluster.pull_secret}"] if cluster.pull_secret else []
    return Rendered(objects, made.migration(), needs)


def quantity(size: str) -> str:
    """A size of Docker's, whose units are powers of 1024 however they are spelt, as one of Kubernetes'."""
    found = _SIZE.fullmatch(size)
    if not found:
        raise RequestError(f"{size!r} is no size like 512M.")
    number, unit = found.groups()
    return number + (f"{unit.upper()}i" if unit else "")


class _Objects:
    def __init__(self, service: Service, version: str, hosts: int, cluster: Cluster) -> None:
        self.of, self.version, self.hosts, self.cluster = service, version, hosts, cluster

    def account(self) -> Manifest:
        content: Manifest = {"automountServiceAccountToken": False}
        if self.cluster.pull_secret:
            content["imagePullSecrets"] = [{"name": self.cluster.pull_secret}]
        return self._object("v1", "ServiceAccount", **content)

    def configuration(self) -> Iterator[Manifest]:
        for name, values in self._settings():
            yield self._object("v1", "ConfigMap", name, data=dict(sorted(values.items())))

    def _settings(self) -> Iterator[tuple[str, dict[str, str]]]:
        yield self.of.name, self.of.environment
        yield from ((f"{self.of.name}-{one.name}", one.environment) for one in self.of.workers if one.environment)

    def app(self) -> Manifest:
        service = self.of
        container = self._container("app") | self._probes()
        container["ports"] = [{"name": "http", "containerPort": service.port}]
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": LEAVING}}}
        container["env"].append({"name": "PORT", "value": str(service.port)})
        if service.command:
            container["args"] = service.command
        replicas = None if service.scaling.max else service.instances * self.hosts
        strategy: Manifest = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        if service.strategy == "recreate":
            strategy = {"type": "Recreate"}
        return self._deployment(service.name, "app", container, replicas, strategy)

    def worker(self, worker: Worker) -> Manifest:
        """Never two releases' at a time, as on hosts."""
        name = f"{self.of.name}-{worker.name}"
        container = self._container(worker.name) | {"args": worker.command}
        if worker.environment:
            container["envFrom"].append({"configMapRef": {"name": name}})
        return self._deployment(name, worker.name, container, worker.instances * self.hosts, {"type": "Recreate"})

    def service(self) -> Manifest:
        ports = [{"name": "http", "port": self.of.port, "targetPort": "http"}]
        return self._object("v1", "Service", spec={"selector": self._labels("app"), "ports": ports})

    def scaler(self) -> Iterator[Manifest]:
        scaling = self.of.scaling
        if not scaling.max:
            return
        target = {"type": "Utilization", "averageUtilization": round(scaling.cpu_out)}
        spec = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.of.name},
            "minReplicas": self.of.instances * self.hosts,
            "maxReplicas": scaling.max * self.hosts,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": min(scaling.cooldown, 3600)}},
        }
        yield self._object("autoscaling/v2", "HorizontalPodAutoscaler", spec=spec)

    def budget(self) -> Iterator[Manifest]:
        """One at a time may be moved; of a single one nothing can be promised, and a budget would hold its node."""
        if self.of.instances * self.hosts > 1:
            spec = {"maxUnavailable": 1, "selector": {"matchLabels": self._labels("app")}}
            yield self._object("policy/v1", "PodDisruptionBudget", spec=spec)

    def policies(self, behind_edge: bool) -> Iterator[Manifest]:
        """Nobody reaches the service's pods, but the edge the application's port."""
        every = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": self.of.name}}, "policyTypes": ["Ingress"]}
        yield self._object("networking.k8s.io/v1", "NetworkPolicy", f"{self.of.name}-closed", spec=every)
        if behind_edge:
            edge = {"matchLabels": {"kubernetes.io/metadata.name": self.cluster.edge_namespace}}
            ports = [{"protocol": "TCP", "port": "http"}]
            spec = every | {
                "podSelector": {"matchLabels": self._labels("app")},
                "ingress": [{"from": [{"namespaceSelector": edge}], "ports": ports}],
            }
            yield self._object("networking.k8s.io/v1", "NetworkPolicy", f"{self.of.name}-edge", spec=spec)

    def ingress(self, entries: Sequence[Way]) -> Iterator[Manifest]:
        if not entries:
            return
        paths: dict[str, list[Manifest]] = {}
        for way in entries:
            service = self._nobody() if way.closed else self.of.name
            backend = {"service": {"name": service, "port": {"name": "http"}}}
            path = {"path": way.path, "pathType": "Exact" if way.exact else "Prefix", "backend": backend}
            for domain in way.domains:
                paths.setdefault(domain, []).append(path)
        spec: Manifest = {"ingressClassName": self.cluster.ingress_class} if self.cluster.ingress_class else {}
        secure = sorted({domain for way in entries if way.tls for domain in way.domains})
        if secure:
            spec["tls"] = [{"hosts": secure, "secretName": f"{self.of.name}-tls"}]
        spec["rules"] = [{"host": domain, "http": {"paths": found}} for domain, found in sorted(paths.items())]
        if any(way.closed for way in entries):
            yield self._object(
                "v1", "Service", self._nobody(), spec={"ports": [{"name": "http", "port": self.of.port}]}
            )
        yield self._object("networking.k8s.io/v1", "Ingress", spec=spec)

    def _nobody(self) -> str:
        """A Service that selects no pod, so that an Ingress answers 503 in its place."""
        return f"{self.of.name}-closed"

    def migration(self) -> list[Manifest]:
        """A Job of its version, to be applied and waited for before the rest."""
        migrate = self.of.migrate
        if not migrate.command:
            return []
        name = f"{self.of.name[:40]}-{MIGRATION}-{hashlib.sha256(self.version.encode()).hexdigest()[:8]}"
        pod = self._pod(MIGRATION, self._container(MIGRATION) | {"args": migrate.command})
        pod["spec"]["restartPolicy"] = "Never"
        spec = {"backoffLimit": 0, "activeDeadlineSeconds": math.ceil(migrate.timeout), "template": pod}
        return [self.account(), *self.configuration(), self._object("batch/v1", "Job", name, spec=spec)]

    def _object(self, version: str, kind: str, name: str = "", **content: Any) -> Manifest:
        labels = {"app.kubernetes.io/name": self.of.name, "app.kubernetes.io/managed-by": "slipway"}
        metadata: Manifest = {"name": name or self.of.name}
        if self.cluster.namespace:
            metadata["namespace"] = self.cluster.namespace
        return {"apiVersion": version, "kind": kind, "metadata": metadata | {"labels": labels}} | content

    def _labels(self, component: str) -> dict[str, str]:
        return {"app.kubernetes.io/name": self.of.name, "app.kubernetes.io/component": component}

    def _deployment(
        self, name: str, component: str, container: Manifest, replicas: int | None, strategy: Manifest
    ) -> Manifest:
        spec: Manifest = {} if replicas is None else {"replicas": replicas}
        spec |= {"strategy": strategy, "selector": {"matchLabels": self._labels(component)}}
        return self._object("apps/v1", "Deployment", name, spec=spec | {"template": self._pod(component, container)})

    def _pod(self, component: str, container: Manifest) -> Manifest:
        service = self.of
        uid, _, gid = service.user.partition(":")
        user, group = int(uid), int(gid or uid)
        # A changed setting starts the instances anew; by itself a ConfigMap would not.
        settings = hashlib.sha256(json.dumps(dict(self._settings()), sort_keys=True).encode()).hexdigest()
        spec = {
            "serviceAccountName": service.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": service.stop_timeout + LEAVING,
            "securityContext": {
                "runAsUser": user,
                "runAsGroup": group,
                "fsGroup": group,
                "runAsNonRoot": user != 0,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": self._labels(component)},
                }
            ],
            "containers": [container],
            "volumes": list(self._volumes()),
        }
        labels = self._labels(component) | {"app.kubernetes.io/version": self.version}
        return {"metadata": {"labels": labels, "annotations": {"slipway.ops/settings": settings}}, "spec": spec}

    def _container(self, name: str) -> Manifest:
        service, resources = self.of, self.of.resources
        limits = {"cpu": f"{round(resources.cpus * 1000)}m", "memory": quantity(resources.memory)}
        identity = {"name": "INSTANCE_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
        capabilities = [one.upper().removeprefix("CAP_") for one in service.capabilities]
        return {
            "name": name,
            "image": f"{service.image}:{self.version}",
            "env": [identity, {"name": "SERVICE_VERSION", "value": self.version}],
            "envFrom": [{"configMapRef": {"name": service.name}}],
            "resources": {"requests": limits, "limits": limits},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": service.read_only,
                "capabilities": {"drop": ["ALL"]} | ({"add": capabilities} if capabilities else {}),
            },
            "volumeMounts": list(self._mounts()),
        }

    def _probes(self) -> Manifest:
        health, ready = self.of.health, self.of.ready
        healthy = {"exec": {"command": health.command}} if health.command else _get(health.path)
        often = {"periodSeconds": health.interval, "timeoutSeconds": health.timeout}
        # On hosts failures do not count for as long as the start takes.
        tries = max(math.ceil(health.start_period / health.interval), 1) + health.retries
        return {
            "startupProbe": healthy | often | {"failureThreshold": tries},
            "livenessProbe": healthy | often | {"failureThreshold": health.retries},
            "readinessProbe": _get(ready.path)
            | {"periodSeconds": _seconds(ready.interval, 2), "timeoutSeconds": _seconds(ready.timeout, 2)},
        }

    def _volumes(self) -> Iterator[Manifest]:
        service = self.of
        if service.secrets:
            items = [{"key": name, "path": name} for name in sorted(service.secrets)]
            yield {"name": "secrets", "secret": {"secretName": service.name, "items": items, "defaultMode": 0o440}}
        for volume in service.volumes:
            claim = _claim(service, volume.name)
            yield {"name": f"data-{volume.name}", "persistentVolumeClaim": {"claimName": claim}}
        for number, entry in enumerate(service.tmpfs):
            size = re.search(r"(?:^|,)size=(\d+[kmgKMG]?)(?:,|$)", entry.partition(":")[2])
            limit = {"sizeLimit": quantity(size.group(1))} if size else {}
            yield {"name": f"memory-{number}", "emptyDir": {"medium": "Memory"} | limit}

    def _mounts(self) -> Iterator[Manifest]:
        if self.of.secrets:
            yield {"name": "secrets", "mountPath": "/run/secrets", "readOnly": True}
        for volume in self.of.volumes:
            yield {"name": f"data-{volume.name}", "mountPath": volume.path}
        for number, entry in enumerate(self.of.tmpfs):
            yield {"name": f"memory-{number}", "mountPath": entry.partition(":")[0]}


def _get(path: str) -> Manifest:
    return {"httpGet": {"path": path, "port": "http"}}


def _seconds(value: float | None, usual: int) -> int:
    return usual if value is None else max(math.ceil(value), 1)


def _claim(service: Service, volume: str) -> str:
    return f"{service.name}-{volume}"
