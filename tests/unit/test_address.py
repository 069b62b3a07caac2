from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.filter.address import FilterModule
from ansible_collections.slipway.ops.plugins.module_utils.net.address import (
    AddressError,
    join_host_port,
    split_host_port,
)

PAIRS = [
    ("app1", 8000, "app1:8000"),
    ("10.0.0.5", 80, "10.0.0.5:80"),
    ("::1", 9100, "[::1]:9100"),
    ("fd00::5", 8443, "[fd00::5]:8443"),
    ("fe80::1%eth0", 80, "[fe80::1%eth0]:80"),
    ("::ffff:10.0.0.5", 80, "[::ffff:10.0.0.5]:80"),
    ("*", 80, "*:80"),
]


@pytest.mark.parametrize(("host", "port", "text"), PAIRS)
def test_host_and_port_are_one_text_and_two_again(host, port, text):
    assert join_host_port(host, port) == text
    assert split_host_port(text) == (host, port)


def test_no_host_is_every_address_for_a_socket_and_nothing_to_split():
    assert join_host_port("", 80) == ":80"
    with pytest.raises(AddressError, match="':80' has no host; write such as app1:8000"):
        split_host_port(":80")


def test_a_host_that_has_its_brackets_gets_no_second_pair():
    assert join_host_port("[::1]", "9100") == "[::1]:9100"


@pytest.mark.parametrize(
    ("text", "host"), [("app1", "app1"), ("::1", "::1"), ("[::1]", "::1"), ("fd00::5:80", "fd00::5:80")]
)
def test_a_text_without_a_port_gets_the_one_given(text, host):
    assert split_host_port(text, 443) == (host, 443)
    with pytest.raises(AddressError, match="no port; write such as app1:8000"):
        split_host_port(text)


@pytest.mark.parametrize("host", ["app1:80", "[app1]", "[::1", "::1]", "http://app1", "a b", "1:2:3", "[]"])
def test_what_is_no_host_is_refused(host):
    with pytest.raises(AddressError, match="is no host; write a name or an address"):
        join_host_port(host, 80)


@pytest.mark.parametrize("text", ["app1:http", "app1:", "app1:65536", "[::1]:-1", "app1:٣"])
def test_what_is_no_port_is_refused(text):
    with pytest.raises(AddressError, match="no port; a port is a number"):
        split_host_port(text)


def test_the_filters_are_these_functions_and_say_their_names():
    filters = FilterModule().filters()
    assert filters["join_host_port"]("::1", 80) == "[::1]:80"
    assert filters["split_host_port"]("[::1]:80") == ["::1", 80]
    with pytest.raises(AnsibleFilterError, match="join_host_port: 'a b' is no host"):
        filters["join_host_port"]("a b", 80)
    with pytest.raises(AnsibleFilterError, match="split_host_port: 'app1' has no port"):
        filters["split_host_port"]("app1")
