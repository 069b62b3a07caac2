"""kubernetes.yml writes an environment's files, a second run changes nothing, and what cannot be is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from playbook import Run, play

SHOP: dict[str, Any] = {
    "name": "shop",
    "image": "r:5000/shop",
    "port": 80,
    "ports": {"blue": 8000, "green": 8100},
    "secrets": {"jwt_secret": "correct horse battery staple"},
    "migrate": {"command": ["shop", "migrate"]},
}


@pytest.fixture
def render(tmp_path: Path) -> Any:
    """Runs the playbook for services of an inventory called production, whose hosts nobody can reach."""

    def run(services: list[dict[str, Any]], *arguments: str, **variables: Any) -> Run:
        nobody = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "app_services": services}
        app = {"hosts": {"app1": None, "app2": None}, "vars": nobody}
        path = tmp_path / "production" / "hosts.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"all": {"children": {"app": app}}}))
        return play("kubernetes", path, *arguments, kubernetes_dir=str(tmp_path / "out"), **variables)

    return run


def test_a_directory_per_environment_that_follows_the_inventory(render: Any, tmp_path: Path) -> None:
    asked = {"service": "shop", "version": "2.0.0"}
    place = tmp_path / "out" / "production"
    checked = render([SHOP], "--check", "--diff", **asked)
    assert checked.code == 0, checked.output
    assert "kind: Deployment" in checked.output and not place.exists()
    ran = render([SHOP], **asked)
    assert ran.code == 0, ran.output
    assert "shop.yml, migrations/shop.yml" in ran.said and "the cluster needs Secret shop with jwt_secret" in ran.said
    kinds = [one["kind"] for one in yaml.safe_load_all((place / "shop.yml").read_text())]
    assert "Deployment" in kinds and "Job" not in kinds
    before = (place / "shop.yml").read_text()

    again = render([SHOP], **asked)
    assert again.code == 0 and "nothing has changed" in again.said and (place / "shop.yml").read_text() == before

    less = render([SHOP | {"migrate": {}}], kubernetes_versions={"shop": "2.0.0"})
    assert less.code == 0 and not (place / "migrations/shop.yml").exists()
    assert (place / "shop.yml").read_text() == before
    assert "correct horse" not in checked.output + ran.output + again.output + less.output


@pytest.mark.parametrize(
    ("change", "asked", "told"),
    [
        ({}, {}, "Say which version of which service"),
        ({}, {"service": "shp", "version": "1.0"}, "There is no service shp in app_services; did you mean shop?"),
        ({}, {"service": "shop"}, "shop: '' cannot be a version"),
        ({"networks": ["backend"]}, {"service": "shop", "version": "1.0"}, "shop: networks (backend)"),
        ({}, {"kubernetes_version": {"shop": "1.0"}}, "kubernetes_version"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    render: Any, tmp_path: Path, change: dict[str, Any], asked: dict[str, Any], told: str
) -> None:
    ran = render([SHOP | change], **asked)
    assert ran.code != 0 and told in ran.said, ran.output
    assert "Traceback" not in ran.output and not (tmp_path / "out").exists()
