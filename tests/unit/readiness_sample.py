"""A realistic system at one moment: a policy, evidence as it is read from the store, and waivers."""

from __future__ import annotations

import datetime
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import readiness_sample_data as data
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.inventory.cards import wanted

NOW = datetime.datetime(2026, 11, 21, 12, 0, tzinfo=datetime.timezone.utc)
ROOT = Path(__file__).resolve().parents[2]
HOSTS = ("edge1", "app1", "app2", "monitor1")


def policy() -> list[dict[str, Any]]:
    """The default policy of a system with a database and its standby, with what a real system adds to it."""
    without = (
        "alertmanager",
        "blackbox_exporter",
        "keepalived",
        "mongodb",
        "mongodump",
        "oauth2_proxy",
        "object_store",
        "patroni",
        "redis",
        "restic",
        "swarm",
        "wireguard",
    )
    absent = {ROOT / f"roles/{role}/meta/policy.yml" for role in without}
    cards = sorted({*ROOT.glob("roles/*/meta/policy.yml")} - absent)
    defaults = wanted(one for path in cards for one in yaml.safe_load(path.read_text(encoding="utf-8")))
    return [
        *defaults,
        {"id": "delivery.rollback.duration", "limit": "<= 5 s"},
        {
            "id": "application.load.p95",
            "title": {"en": "95 % of requests are answered within 500 ms", "ko": "요청의 95%를 500ms 이내에 응답"},
            "tier": 1,
            "max_age": "30d",
            "limit": "< 500 ms",
        },
        {
            "id": "data.restore.duration",
            "title": {"en": "Uploads were restored within four hours", "ko": "4시간 이내 업로드 파일 복구 확인"},
            "tier": 1,
            "max_age": "7d",
            "limit": "<= 4 h",
        },
        {
            "id": "data.backup.offsite",
            "title": {"en": "Backups are kept at a second site", "ko": "백업의 원격지 보관"},
            "tier": 2,
            "max_age": "7d",
        },
        {
            "id": "security.scan.critical",
            "title": {"en": "No critical finding in the images", "ko": "이미지의 심각 등급 취약점 없음"},
            "tier": 1,
            "max_age": "7d",
            "limit": "= 0",
        },
        {
            "id": "operations.multi_region",
            "title": {"en": "A second region takes over", "ko": "다른 리전으로의 장애 조치"},
            "tier": 3,
            "max_age": "90d",
            "not_applicable": "One site by decision of the owner",
        },
        {
            "id": "operations.runbook.reviewed",
            "title": {"en": "The incident manual was reviewed", "ko": "장애 대응 매뉴얼 검토"},
            "tier": 3,
            "max_age": "90d",
        },
    ]


def waivers() -> list[dict[str, Any]]:
    """One that holds and one that has expired."""
    return [
        {
            "id": "security.scan.critical",
            "owner": "Kim Minji",
            "reason": "CVE-2026-1234 is in a library that the service does not call; fixed in the next image",
            "expires": "2026-12-15",
        },
        {
            "id": "data.restore.duration",
            "owner": "Lee Junho",
            "reason": "The drill host arrives in November",
            "expires": "2026-11-15",
        },
    ]


def record(id: str, subject: str, claim: str, measured: Any = None, unit: str = "1", **more: Any) -> dict[str, Any]:
    """One record, a pass measured an hour before NOW unless it is said otherwise."""
    hours = more.pop("hours", 1.0)
    return {
        "id": id,
        "area": id.partition(".")[0],
        "subject": subject,
        "claim": claim,
        "measured": measured,
        "unit": unit,
        "limit": None,
        "verdict": "pass",
        "at": timestamp(NOW - datetime.timedelta(hours=hours)),
        "took": 0.2,
        "source": "health_check 0.1.0",
        "run": "20261121T110000Z-health",
        "reason": None,
        "artifacts": [],
        "sha256": {},
        **more,
    }


def figures(requests: int, p50: float, p95: float, p99: float, slowest: float) -> dict[str, Any]:
    """What the prober says of one client."""
    latency = {"p50": p50, "p95": p95, "p99": p99, "max": slowest}
    return {"requests": requests, "failed": 0, "latency": latency, "longest_gap": 0.11}


# What `traffic` returned around a release, with the steps of the release as events.
SWITCH = {
    "traffic": {
        "name": "deploy-sample",
        "started_at": "2026-11-20T09:15:00.000Z",
        "ended_at": "2026-11-20T09:15:31.000Z",
        "total": figures(3100, 8.1, 21.4, 48.2, 113.9),
        "clients": {
            "keep_alive": figures(1550, 6.2, 14.8, 31.0, 71.5),
            "fresh": figures(620, 11.4, 28.1, 52.7, 113.9),
            "post": figures(620, 9.0, 22.6, 44.1, 88.0),
            "http2": figures(310, 7.4, 18.0, 40.3, 69.2),
        },
        "failures": [],
        "versions": [
            {"version": "v1", "first": "2026-11-20T09:15:00.01Z", "last": "2026-11-20T09:15:14.2Z", "responses": 1420},
            {"version": "v2", "first": "2026-11-20T09:15:14.19Z", "last": "2026-11-20T09:15:30.9Z", "responses": 1680},
        ],
    },
    "events": [
        {"at": "2026-11-20T09:15:02.1Z", "label": "start v2"},
        {"at": "2026-11-20T09:15:11.6Z", "label": "healthy"},
        {"at": "2026-11-20T09:15:14.19Z", "label": "switch"},
        {"at": "2026-11-20T09:15:29.8Z", "label": "v1 drained"},
    ],
}


def evidence() -> dict[str, Any]:
    """What ``slipway.ops.evidence_info`` returns with history and artifacts."""
    path = "artifacts/20261120T091500Z-deploy/switch.json"
    content = json.dumps(SWITCH, indent=1)
    digest = hashlib.sha256(content.encode()).hexdigest()
    release: dict[str, Any] = {"source": "deploy 0.1.0", "run": "20261120T091500Z-deploy", "hours": 26.7}
    pictured = {**release, "artifacts": [path], "sha256": {path: digest}}
    back: dict[str, Any] = {"source": "rollback 0.1.0", "run": "20261120T094200Z-rollback", "hours": 26.3}
    disk = {"edge1": 31.4, "app1": 58.9, "app2": 61.2, "monitor1": 83.6}
    records = [
        record("delivery.deploy.result", "sample", "The last release went live", "v2", **release),
        record("delivery.deploy.failed_requests", "sample", "No request failed", 0, limit="= 0", **pictured),
        record("delivery.switch.duration", "sample", "Traffic switched to v2", 0.041, "s", limit="< 5", **release),
        record("delivery.rollback.duration", "sample", "v1 answered again", 1.84, "s", limit="<= 5", **back),
        record("delivery.rollback.failed_requests", "sample", "No request failed", 0, limit="= 0", **back),
        record("delivery.gate.bad_release_requests", "sample", "No request reached v3", 0, limit="= 0", **release),
        record("application.sample.health", "sample", "The service answers 200", 200, limit="= 200"),
        record("application.sample.latency", "sample", "95 % within 250 ms", 38.2, "ms", limit="< 250"),
        record(
            "application.load.p95",
            "sample",
            "95 % within 500 ms",
            612.4,
            "ms",
            limit="< 1000",
            source="load 0.1.0",
            hours=50,
        ),
        *(
            record(
                "infrastructure.disk.used",
                host,
                "The root file system has room",
                used,
                "%",
                limit="< 90",
                verdict="warn" if used > 80 else "pass",
                reason=f"/ is {used} % full; make room before it reaches 90 %" if used > 80 else None,
            )
            for host, used in disk.items()
        ),
        record(
            "security.tls.days_left", "www.example.com", "The certificate is valid for weeks", 71, "d", limit=">= 14"
        ),
        record("security.headers.present", "www.example.com", "Security headers are on every response", 7),
        record(
            "security.scan.critical",
            "sample:v2",
            "No critical finding",
            1,
            limit="= 0",
            verdict="fail",
            reason="CVE-2026-1234 in libexample 1.2; update the base image",
            source="scan 0.1.0",
        ),
        *(record("monitoring.target.up", host, "Prometheus scrapes the host", 1, limit="= 1") for host in HOSTS),
        record("data.restore.duration", "uploads", "The uploads were restored", 1.9, "h", limit="<= 4", hours=24 * 12),
        *data.evidence(record, NOW),
    ]
    return {
        "store": "/var/lib/slipway/evidence",
        "records": records,
        "history": [*_history(records), *data.history(record, NOW)],
        "artifacts": {path: {"bytes": len(content), "intact": True, "content": content}},
        "damaged": [],
    }


def _history(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    dice = random.Random(7)
    walked = {
        "infrastructure.disk.used",
        "application.sample.latency",
        "delivery.rollback.duration",
        "application.load.p95",
    }
    past = []
    for one in records:
        if one["id"] in walked:
            steps = [1 - 0.02 * back * dice.random() for back in range(24, 0, -1)]
            past += [{**one, "measured": one["measured"] * step} for step in steps]
        past.append(one)
    return past
