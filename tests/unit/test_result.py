from __future__ import annotations

import datetime

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp


def test_timestamp_is_utc_whatever_the_zone():
    seoul = datetime.timezone(datetime.timedelta(hours=9))
    moment = datetime.datetime(2026, 11, 21, 20, 40, 0, 123456, tzinfo=seoul)
    assert timestamp(moment) == "2026-11-21T11:40:00.123Z"
