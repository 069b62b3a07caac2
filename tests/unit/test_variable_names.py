from __future__ import annotations

from ansible_collections.slipway.ops.plugins.module_utils.variable_names import describe, unknown_names


def test_a_misspelt_name_is_found_with_its_neighbour():
    unknown = unknown_names("nginx", ["nginx_porst", "nginx_sites", "other"], {"nginx_ports", "nginx_sites"}, [])
    assert unknown == {"nginx_porst": "nginx_ports"}
    assert "did you mean nginx_ports?" in describe("nginx", unknown)


def test_private_names_and_other_roles_are_left_alone():
    names = ["__nginx_x", "haproxy_x", "postgresql_exporter_port"]
    assert unknown_names("nginx", names, set(), ["nginx", "haproxy"]) == {}
    assert unknown_names("postgresql", names, set(), ["postgresql", "postgresql_exporter"]) == {}


def test_a_name_like_no_other_is_named_without_a_guess():
    assert unknown_names("nginx", ["nginx_zebra"], {"nginx_sites"}, []) == {"nginx_zebra": None}
