from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.inventory.variable_names import describe, unknown_names


def test_a_misspelt_name_is_found_with_its_neighbour() -> None:
    unknown = unknown_names(["nginx_porst", "nginx_sites", "other"], {"nginx": {"nginx_ports", "nginx_sites"}})
    assert unknown == {"nginx_porst": ("nginx", "nginx_ports")}
    assert "did you mean nginx_ports?" in describe("nginx_porst", "nginx", "nginx_ports")


def test_private_names_and_those_of_a_longer_prefix_are_left_alone() -> None:
    known: dict[str, set[str]] = {
        "nginx": set(),
        "postgresql": set(),
        "postgresql_exporter": {"postgresql_exporter_port"},
    }
    assert unknown_names(["__nginx_x", "haproxy_x", "nginxx", "postgresql_exporter_port"], known) == {}


def test_a_name_like_no_other_is_named_without_a_guess() -> None:
    assert unknown_names(["nginx_zebra"], {"nginx": {"nginx_sites"}}) == {"nginx_zebra": ("nginx", None)}


def test_somebody_elses_name_passes_and_no_other_does() -> None:
    known = {"nginx": {"nginx_sites"}}
    assert list(unknown_names(["nginx_user", "nginx_users"], known, foreign=["nginx_user"])) == ["nginx_users"]


def test_what_awx_tells_every_job_is_none_of_ours() -> None:
    known = {"awx": {"awx_project", "awx_inventory"}}
    given = ["job_id", "job_launch_type", "job_template_name", "user_name", "user_email", "schedule_id", "inventory_id"]
    given += ["inventory_name", "project_revision", "project_scm_branch", "workflow_job_id", "webhook_payload"]
    assert unknown_names([f"awx_{name}" for name in given], known) == {}
    assert set(unknown_names(["awx_projects", "awx_inventory_file", "awx_job"], known)) == {
        "awx_projects",
        "awx_inventory_file",
        "awx_job",
    }
