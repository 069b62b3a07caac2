"""System A, modelops: blue-green in a window, two sites with limits, dumps of a managed MongoDB-compatible database."""

from __future__ import annotations

from system_story import Sabotage, Story, System, short_lived_certificate, stopped_instance

DOMAIN = "api-staging.ai-model-mgmt.com"
DUMP = "f=$(ls /var/lib/mongodump/*.age | tail -1)"
DAMAGE = (
    f"{DUMP} && echo $f > /root/damaged && cp -a $f /root/kept && printf slipway | dd of=$f bs=1 seek=2000 conv=notrunc"
)


class TestModelops(Story):
    system = System(
        name="modelops",
        services=("api", "web"),
        domain=DOMAIN,
        # Whenever the scenario runs; a bake ends while the other service is released.
        release={"deploy_windows": [], "notices_hours": 0, "own_bake_seconds": 20},
        # No 1,000 requests a second of one machine that is all hosts, and the sender.
        load={
            "load_seconds": 20,
            "load_rates": {"keep_alive": 40, "fresh": 4, "post": 6},
            "load_limits": {
                "rate": "> 45",
                "error_rate": "< 0.1 %",
                "latency_p50": "< 250 ms",
                "latency_p95": "< 500 ms",
                "latency_p99": "< 1000 ms",
            },
        },
        not_applicable={"security.scan.image.*": "No scanner of images is in the test bed's hosts."},
        sabotages=(
            stopped_instance("app2", "api"),
            Sabotage(
                "monitor1",
                DAMAGE,
                "cp -a /root/kept $(cat /root/damaged)",
                r"data\.drill\.mongodb\.result: .* corrupted",
                (("drill", {}),),
            ),
            short_lived_certificate("edge1", DOMAIN),
        ),
    )
