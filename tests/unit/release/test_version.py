from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError, check_version


@pytest.mark.parametrize("version", ["", "..", "a/b", "../../etc", "1 0", "-x", "v" * 129, "1.0;rm"])
def test_versions_that_are_no_tag(version: str) -> None:
    with pytest.raises(RequestError):
        check_version(version)


def test_a_version_that_is_a_tag() -> None:
    assert check_version("2.0.0-rc_1") == "2.0.0-rc_1"
