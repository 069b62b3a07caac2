"""System D, insitechart: one host that is everything, two services, one of which keeps its users at one instance."""

from __future__ import annotations

from system_story import Story, System, damaged_backup, short_lived_certificate, stopped_instance

DOMAIN = "api.insitechart.example.test"


class TestInsitechart(Story):
    system = System(
        name="insitechart",
        services=("api", "charts"),
        domain=DOMAIN,
        load={"load_seconds": 20, "load_rates": {"keep_alive": 20, "fresh": 2, "post": 3}},
        not_applicable={"infrastructure.kpi.redis-hits": "The sample service reads no cache."},
        sabotages=(
            stopped_instance("main1", "api"),
            damaged_backup("backup1"),
            short_lived_certificate("main1", DOMAIN),
        ),
    )
