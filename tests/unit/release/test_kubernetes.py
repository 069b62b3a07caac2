"""Services for Kubernetes: what its API takes, what an operator relies on, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.filter.kubernetes import FilterModule
from ansible_collections.slipway.ops.plugins.module_utils.release.kubernetes import quantity
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import ServiceError, parse_service
from kubernetes_schemas import KINDS, problems, versions

FILES = FilterModule().filters()["kubernetes_files"]
SECRET = "correct horse battery staple"
LEAST: dict[str, Any] = {"name": "shop", "image": "r:5000/shop", "port": 80, "ports": {"blue": 8000, "green": 8100}}
WHOLE: dict[str, Any] = LEAST | {
    "instances": 2,
    "scaling": {"max": 5, "cpu_out": 65, "cooldown": 120},
    "edge_port": 18000,
    "user": "10001:10002",
    "environment": {"LOG_LEVEL": "info", "ON": "yes"},
    "secrets": {"jwt_secret": SECRET, "api.key": SECRET},
    "volumes": [{"name": "uploads", "path": "/data"}],
    "tmpfs": ["/tmp:size=64m,mode=1777", "/var/cache"],
    "capabilities": ["CAP_NET_BIND_SERVICE"],
    "resources": {"cpus": 0.5, "memory": "256M"},
    "health": {"command": ["shop", "check"], "start_period": 35, "interval": 10, "retries": 3},
    "ready": {"path": "/ready", "interval": 0.5},
    "workers": [{"name": "mail", "command": ["shop", "mail"], "instances": 1, "environment": {"QUEUE": "mail"}}],
    "migrate": {"command": ["shop", "migrate"], "timeout": 90},
    "stop_timeout": 20,
}
SITE: dict[str, Any] = {
    "domains": ["shop.example.test", "~^x"],
    "certificate": "shop",
    "locations": [
        {"path": "/", "pool": "127.0.0.1:18000"},
        {"path": "/only", "match": "exact", "pool": "127.0.0.1:18000"},
        {"path": "/static", "root": "/srv/static"},
        {"path": "/other", "pool": "127.0.0.1:18999"},
    ],
}


def rendered(
    service: dict[str, Any], *, hosts: int = 3, version: str = "2.0.0", sites: Any = (SITE,), **cluster: str
) -> dict[str, Any]:
    apps = [f"app{number}" for number in range(hosts)]
    hostvars = {app: {"app_services": [service]} for app in apps} | {"edge1": {"nginx_sites": list(sites)}}
    (found,) = FILES(hostvars, {"app": apps, "edge": ["edge1"]}, {service["name"]: version}, **cluster)
    return dict(found)


@pytest.mark.parametrize("version", [2.10, 2, True, None])
def test_a_version_that_yaml_made_a_number_is_refused(version: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=r"The version of shop is no text.*in quotes"):
        rendered(LEAST, version=version)


def objects(service: dict[str, Any], **more: Any) -> dict[str, dict[str, Any]]:
    """By kind and name; those of the migration are not among them."""
    text = rendered(service, **more)["files"][f"{service['name']}.yml"]
    return {f"{one['kind']} {one['metadata']['name']}": one for one in yaml.safe_load_all(text)}


def pod(deployment: dict[str, Any]) -> dict[str, Any]:
    return dict(deployment["spec"]["template"]["spec"])


@pytest.mark.parametrize("kubernetes", versions())
@pytest.mark.parametrize(
    "service", [LEAST, WHOLE, LEAST | {"strategy": "recreate"}], ids=["least", "whole", "recreate"]
)
def test_the_api_takes_every_object(service: dict[str, Any], kubernetes: str) -> None:
    found = rendered(service, namespace="shop", pull_secret="registry", ingress_class="nginx")["files"].values()
    every = [one for text in found for one in yaml.safe_load_all(text)]
    assert [problem for one in every for problem in problems(one, kubernetes)] == []
    assert service is not WHOLE or {one["kind"] for one in every} == set(KINDS)
    every[0]["automountServiceAccountTokn"] = False
    assert "automountServiceAccountTokn" in "".join(problems(every[0], kubernetes))
    assert len(versions()) == 2


def test_no_value_of_a_secret_is_in_a_file_and_what_must_be_there_is_told() -> None:
    found = rendered(WHOLE, pull_secret="registry")
    assert SECRET not in "".join(found["files"].values())
    assert found["needs"] == [
        "Secret shop with api.key, jwt_secret",
        "PersistentVolumeClaim shop-uploads",
        "Secret shop-tls",
        "Secret registry",
    ]
    secrets = next(
        volume["secret"] for volume in pod(objects(WHOLE)["Deployment shop"])["volumes"] if "secret" in volume
    )
    assert secrets["secretName"] == "shop" and [item["key"] for item in secrets["items"]] == ["api.key", "jwt_secret"]


def test_every_selector_finds_the_pods_that_it_means_and_no_others() -> None:
    found = objects(WHOLE)
    labels = {
        name: found[f"Deployment {name}"]["spec"]["template"]["metadata"]["labels"] for name in ("shop", "shop-mail")
    }

    def chosen(selector: dict[str, str]) -> list[str]:
        return [name for name, has in labels.items() if selector.items() <= has.items()]

    for name in labels:
        assert chosen(found[f"Deployment {name}"]["spec"]["selector"]["matchLabels"]) == [name]
        assert "app.kubernetes.io/version" not in found[f"Deployment {name}"]["spec"]["selector"]["matchLabels"]
    assert chosen(found["Service shop"]["spec"]["selector"]) == ["shop"]
    assert chosen(found["PodDisruptionBudget shop"]["spec"]["selector"]["matchLabels"]) == ["shop"]
    assert chosen(found["NetworkPolicy shop-edge"]["spec"]["podSelector"]["matchLabels"]) == ["shop"]
    assert chosen(found["NetworkPolicy shop-closed"]["spec"]["podSelector"]["matchLabels"]) == ["shop", "shop-mail"]
    assert found["HorizontalPodAutoscaler shop"]["spec"]["scaleTargetRef"]["name"] == "shop"


def test_only_the_edge_reaches_only_the_applications_port() -> None:
    found = objects(WHOLE, edge_namespace="public")
    (rule,) = found["NetworkPolicy shop-edge"]["spec"]["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "public"}}}]
    (port,) = pod(found["Deployment shop"])["containers"][0]["ports"]
    assert rule["ports"] == [{"protocol": "TCP", "port": port["name"]}] and port["containerPort"] == 80
    assert found["Service shop"]["spec"]["ports"][0]["targetPort"] == port["name"]
    assert "ingress" not in found["NetworkPolicy shop-closed"]["spec"]
    inside = objects(WHOLE, sites=[])
    assert "NetworkPolicy shop-edge" not in inside and "Ingress shop" not in inside


def test_the_ingress_has_the_sites_ways_to_the_service() -> None:
    spec = objects(WHOLE, ingress_class="nginx")["Ingress shop"]["spec"]
    (rule,) = spec["rules"]
    assert rule["host"] == "shop.example.test" and spec["ingressClassName"] == "nginx"
    assert [(path["path"], path["pathType"]) for path in rule["http"]["paths"]] == [("/", "Prefix"), ("/only", "Exact")]
    assert spec["tls"] == [{"hosts": ["shop.example.test"], "secretName": "shop-tls"}]
    plain = objects(WHOLE, sites=[SITE | {"certificate": ""}])["Ingress shop"]["spec"]
    assert "tls" not in plain and "ingressClassName" not in plain


@pytest.mark.parametrize(
    "place",
    [
        {"path": "/admin", "pool": "127.0.0.1:18000", "users": [{"name": "ann", "hash": "x"}]},
        {"path": "/admin", "pool": "127.0.0.1:18999", "allow": ["192.0.2.0/24"]},
        {"path": "/admin", "pool": "127.0.0.1:18000", "oidc": True},
        {"path": "/admin", "respond": 404},
    ],
    ids=lambda place: sorted(set(place) - {"path", "pool"})[0],
)
def test_what_the_edge_closes_is_not_opened_by_the_path_above_it(place: dict[str, Any]) -> None:
    site = SITE | {"locations": [*SITE["locations"], place]}
    found = objects(WHOLE, sites=[site])
    paths = found["Ingress shop"]["spec"]["rules"][0]["http"]["paths"]
    leads = {path["path"]: path["backend"]["service"]["name"] for path in paths}
    assert leads == {"/": "shop", "/only": "shop", "/admin": "shop-closed"}
    assert "selector" not in found["Service shop-closed"]["spec"], "an Ingress answers 503 there"
    told = "who may reach /admin of shop.example.test: nobody does there" in rendered(WHOLE, sites=[site])["needs"]
    assert told is ("respond" not in place), "on the edge nobody reaches that either"

    by_expression = SITE | {"locations": [*SITE["locations"], place | {"match": "regex"}]}
    assert "Ingress shop" not in objects(WHOLE, sites=[by_expression])
    assert any(told.startswith("an Ingress for shop.ex") for told in rendered(WHOLE, sites=[by_expression])["needs"])


def test_its_hosts_are_names_as_dns_has_them() -> None:
    site = SITE | {
        "domains": ["Shop.Example.Test", "bücher.example.test", ".example.test", "*.shop.test", "~^x", "a.*"]
    }
    rules = objects(WHOLE, sites=[site])["Ingress shop"]["spec"]["rules"]
    assert sorted(rule["host"] for rule in rules) == [
        "*.shop.test", "example.test", "shop.example.test", "xn--bcher-kva.example.test",
    ]  # fmt: skip


def test_a_site_for_people_who_signed_in_leads_to_nobody() -> None:
    paths = objects(WHOLE, sites=[SITE | {"oidc": True}])["Ingress shop"]["spec"]["rules"][0]["http"]["paths"]
    assert {path["backend"]["service"]["name"] for path in paths} == {"shop-closed"}


def test_replicas_are_those_of_all_hosts_and_nobody_but_the_scaler_sets_them() -> None:
    fixed = objects(LEAST | {"instances": 2}, hosts=3)
    assert fixed["Deployment shop"]["spec"]["replicas"] == 6 and "HorizontalPodAutoscaler shop" not in fixed
    scaled = objects(WHOLE, hosts=3)
    spec = scaled["HorizontalPodAutoscaler shop"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (6, 15)
    assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 65
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 120
    assert "replicas" not in scaled["Deployment shop"]["spec"]
    assert scaled["Deployment shop-mail"]["spec"]["replicas"] == 3


@pytest.mark.parametrize(
    ("service", "hosts", "budget"),
    [
        (LEAST, 1, False),
        (LEAST, 2, True),
        (LEAST | {"instances": 2}, 1, True),
        (LEAST | {"scaling": {"max": 3}}, 1, False),
    ],
)
def test_a_budget_leaves_one_and_never_holds_a_node(service: dict[str, Any], hosts: int, budget: bool) -> None:
    found = objects(service, hosts=hosts).get("PodDisruptionBudget shop")
    assert bool(found) is budget
    assert not found or found["spec"]["maxUnavailable"] == 1


def test_an_instance_may_do_no_more_than_on_a_host() -> None:
    found = objects(WHOLE)
    for name in ("shop", "shop-mail"):
        spec = pod(found[f"Deployment {name}"])
        assert spec["automountServiceAccountToken"] is False and spec["serviceAccountName"] == "shop"
        own = spec["securityContext"]
        assert (own["runAsUser"], own["runAsGroup"], own["fsGroup"], own["runAsNonRoot"]) == (10001, 10002, 10002, True)
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        }
        assert container["resources"]["limits"] == {"cpu": "500m", "memory": "256Mi"}
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts == {"/run/secrets", "/data", "/tmp", "/var/cache"}
        assert {volume["name"] for volume in spec["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}
    limits = [volume["emptyDir"].get("sizeLimit") for volume in spec["volumes"] if "emptyDir" in volume]
    assert limits == ["64Mi", None]
    root = pod(objects(LEAST | {"user": "0:0"})["Deployment shop"])["securityContext"]
    assert root["runAsNonRoot"] is False


def test_probes_and_the_end_are_those_of_the_service() -> None:
    spec = pod(objects(WHOLE)["Deployment shop"])
    (container,) = spec["containers"]
    assert container["livenessProbe"]["exec"]["command"] == ["shop", "check"]
    assert container["startupProbe"]["failureThreshold"] * 10 >= 35 + 3 * 10
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["readinessProbe"]["periodSeconds"] == 1  # whole seconds only
    assert spec["terminationGracePeriodSeconds"] == 20 + container["lifecycle"]["preStop"]["sleep"]["seconds"]
    (plain,) = pod(objects(LEAST)["Deployment shop"])["containers"]
    assert plain["livenessProbe"]["httpGet"] == {"path": "/health", "port": "http"}


def test_the_new_release_comes_first_but_where_two_cannot_run() -> None:
    rolling = objects(WHOLE)["Deployment shop"]["spec"]["strategy"]
    assert rolling == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert objects(LEAST | {"strategy": "recreate"})["Deployment shop"]["spec"]["strategy"] == {"type": "Recreate"}
    assert objects(WHOLE)["Deployment shop-mail"]["spec"]["strategy"] == {"type": "Recreate"}


def test_a_changed_setting_starts_instances_anew_and_the_same_input_is_the_same_text() -> None:
    def mark(service: dict[str, Any]) -> str:
        metadata = objects(service)["Deployment shop"]["spec"]["template"]["metadata"]
        return str(metadata["annotations"]["slipway.ops/settings"])

    assert mark(WHOLE) != mark(WHOLE | {"environment": {"LOG_LEVEL": "debug", "ON": "yes"}})
    assert objects(WHOLE)["ConfigMap shop"]["data"] == {"LOG_LEVEL": "info", "ON": "yes"}
    assert objects(WHOLE)["ConfigMap shop-mail"]["data"] == {"QUEUE": "mail"}
    turned = WHOLE | {"environment": dict(reversed(WHOLE["environment"].items()))}
    turned |= {"secrets": dict(reversed(WHOLE["secrets"].items()))}
    assert rendered(turned)["files"] == rendered(WHOLE)["files"]


def test_a_migration_is_a_job_of_its_version_that_is_applied_first_and_once() -> None:
    files = rendered(WHOLE)["files"]
    job = next(one for one in yaml.safe_load_all(files["migrations/shop.yml"]) if one["kind"] == "Job")
    assert "kind: Job" not in files["shop.yml"]
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (0, 90)
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["shop", "migrate"]
    later = yaml.safe_load_all(rendered(WHOLE, version="2.0.1")["files"]["migrations/shop.yml"])
    assert job["metadata"]["name"] != next(one for one in later if one["kind"] == "Job")["metadata"]["name"]
    assert rendered(LEAST)["files"]["migrations/shop.yml"] == ""


@pytest.mark.parametrize(
    ("change", "version", "told"),
    [
        ({"host_mounts": [{"source": "/etc/ssl", "path": "/ssl"}]}, "1.0", "shop: host_mounts (/etc/ssl)"),
        ({"networks": ["backend"]}, "1.0", "shop: networks (backend)"),
        ({"restart": "no"}, "1.0", "shop: restart no"),
        ({"restart": "on-failure"}, "1.0", "shop: restart on-failure"),
        ({"volumes": [{"name": "User_Data", "path": "/d"}]}, "1.0", "shop: the volume's name User_Data"),
        ({}, "x" * 64, "at most 63"),
        ({}, "_1", "shop: version _1"),
        ({}, "1.0 beta", "'1.0 beta' cannot be a version"),
        ({}, "", "cannot be a version"),
    ],
)
def test_what_kubernetes_has_no_word_for_is_refused(change: dict[str, Any], version: str, told: str) -> None:
    found = rendered(LEAST | change, version=version)
    assert told in "".join(found["problems"]) and found["files"] == {}


def test_services_without_a_version_have_no_files_and_unknown_ones_are_told() -> None:
    hostvars = {"app1": {"app_services": [LEAST]}}
    assert FILES(hostvars, {"app": ["app1"]}, {})[0]["files"] == {}
    with pytest.raises(AnsibleFilterError, match="no service shp in app_services; did you mean shop"):
        FILES(hostvars, {"app": ["app1"]}, {"shp": "1.0"})
    with pytest.raises(AnsibleFilterError, match="is this the right inventory"):
        FILES({"app1": {}}, {"app": ["app1"]}, {"shop": "1.0"})


@pytest.mark.parametrize(
    ("docker", "kubernetes"),
    [("512M", "512Mi"), ("512mb", "512Mi"), ("1.5g", "1.5Gi"), ("2GiB", "2Gi"), ("1000", "1000"), ("1000b", "1000")],
)
def test_sizes_are_powers_of_1024_as_dockers(docker: str, kubernetes: str) -> None:
    assert quantity(docker) == kubernetes


@pytest.mark.parametrize(
    ("scaling", "told"),
    [
        ({"max": 1}, "less than instances, 2, the least number"),
        ({"cpu_in": 70}, "would want more instances and fewer at once"),
    ],
)
def test_scaling_that_contradicts_itself_is_refused(scaling: dict[str, Any], told: str) -> None:
    with pytest.raises(ServiceError, match=told):
        parse_service(LEAST | {"instances": 2, "scaling": scaling})
