"""System B, ION Mentoring: a canary that somebody else approves, PostgreSQL, a cache."""

from __future__ import annotations

from system_story import Sabotage, Story, System, damaged_backup, stopped_instance

LOAD = {"load_seconds": 20, "load_rates": {"keep_alive": 20, "fresh": 2, "post": 3}}


class TestMentoring(Story):
    system = System(
        name="mentoring",
        services=("mentoring",),
        domain="mentoring.example.test",
        # Half an hour in production; here the judge has its requests sooner.
        release={
            "approved_by": "lead",
            "deploy_canary_steps": [{"share": 10, "seconds": 10}],
            "deploy_canary_minimum": 30,
            "deploy_probe_rates": {"keep_alive": 15, "fresh": 2, "post": 2},
        },
        load=LOAD,
        not_applicable={"infrastructure.kpi.redis-hits": "The sample service reads no cache."},
        sabotages=(
            stopped_instance("app2", "mentoring"),
            damaged_backup("backup1"),
            Sabotage(
                "app",
                "systemctl stop pgbouncer",
                "systemctl start pgbouncer",
                r"delivery\.load\.\*: mentoring, delivery\.load\.error_rate: ",
                (("load", {"service": "mentoring", **LOAD}),),
            ),
        ),
    )
