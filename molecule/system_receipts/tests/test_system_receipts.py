"""System C, receipts: three application hosts with uploads and a worker, PostgreSQL with a standby, strict backups."""

from __future__ import annotations

from system_story import Sabotage, Story, System, damaged_backup, stopped_instance

WORKER = "docker ps --quiet --filter name=-ocr | grep ."


class TestReceipts(Story):
    system = System(
        name="receipts",
        services=("receipts",),
        domain="receipts.example.test",
        load={"load_seconds": 20, "load_rates": {"keep_alive": 40, "fresh": 4, "post": 6}},
        sabotages=(
            stopped_instance("app2", "receipts"),
            damaged_backup("backup1"),
            Sabotage(
                "app3",
                f"{WORKER} > /root/worker && xargs docker stop < /root/worker",
                "xargs docker start < /root/worker",
                r"application\.\*: receipts on app3, application\.workers\.run: .*ocr.* is exited",
            ),
        ),
    )
