from __future__ import annotations

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.core.percentile import percentile


@pytest.mark.parametrize(
    ("samples", "percent", "value"),
    [
        ([7], 95, 7),
        ([1, 2, 3, 4], 50, 2.5),
        ([4, 1, 3, 2], 0, 1),
        ([1, 2, 3, 4], 100, 4),
        ([120, 80, 95, 310], 95, 281.5),
    ],
)
def test_percentile(samples, percent, value):
    assert percentile(samples, percent) == pytest.approx(value)


@pytest.mark.parametrize(("samples", "percent"), [([], 50), ([1], 101), ([1], -1)])
def test_what_has_no_percentile(samples, percent):
    with pytest.raises(ValueError, match="percent"):
        percentile(samples, percent)
