"""Scanners that no role installs: what is read of their output, who runs which, and unknown for what could not run.

The reports of Trivy and Grype are written by hand in the form that their makers document; the others are recorded.
"""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import validated
from ansible_collections.slipway.ops.plugins.module_utils.host.run import Ended
from ansible_collections.slipway.ops.plugins.module_utils.scan import gitleaks, gixy, images, programs, scanner, sslyze
from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import Finding, ScanError, Waiver
from ansible_collections.slipway.ops.plugins.module_utils.scan.optional import OptionalScan
from ansible_collections.slipway.ops.plugins.modules import scan_info
from ansible_collections.slipway.ops.plugins.plugin_utils.scan import plan

RECORDED = Path(__file__).parent / "recorded"
IMAGE = "registry.example.test/shop:2.0.0"
COMPLIANT = "    www.example.test:443: OK - Compliant.\n"
FAILED = """\
    www.example.test:443: FAILED - Not compliant.
        * ciphers: Cipher suites {'TLS_RSA_B', 'TLS_RSA_A'} are supported, but should be rejected.
        * tls_curves: TLS curves {'X448'} are supported, but should be rejected.
"""


def recorded(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


@pytest.fixture
def scan(monkeypatch):
    """A scan whose programs leave a report and print, or end, as given by program."""

    def make(leaves: dict[str, Any], waivers: tuple[dict[str, str], ...] = (), **limits: Any) -> OptionalScan:
        def run(argv, user, timeout):
            tool = next((word for word in argv if word in programs.ABSENT), argv[0])
            left = leaves.get(tool, Ended(127, "", f"ERROR: {tool} is not installed on this host"))
            if isinstance(left, Exception):
                raise left
            if isinstance(left, Ended):
                return left
            report, printed = left if isinstance(left, tuple) else (left, "")
            place = next(word for word in argv if word.endswith(f"/{tool}.json"))
            Path(place).write_text(report, encoding="utf-8")
            return Ended(1, printed, "")

        monkeypatch.setattr(scanner, "run", run)
        return OptionalScan(limits, [Waiver.read(one) for one in waivers], 60, [])

    return make


def told(scan: OptionalScan) -> dict[str, Any]:
    for result in scan.scanned.results:
        validated(result.as_dict() | {"artifacts": []}, "run")
    return {result.id.removeprefix("security."): result for result in scan.scanned.results}


def verdicts(scan: OptionalScan) -> dict[str, str]:
    return {name: result.verdict for name, result in told(scan).items()}


def waiver(finding: str) -> dict[str, str]:
    return {"finding": finding, "owner": "ops", "reason": "so", "expires": "2099-01-31"}


def test_what_is_wrong_with_a_configuration_of_nginx_is_told_with_its_place():
    found = {finding.id: finding.text for finding in gixy.read(recorded("gixy-0.2.59.json"))}
    assert set(found) == {"version_disclosure", "alias_traversal", "http_splitting"}
    assert found["alias_traversal"] == "high, Path traversal via misconfigured alias (/etc/nginx/sites/x.conf:9)"
    assert 'Possible HTTP-Splitting vulnerability: At least variable "$uri" can contain' in found["http_splitting"]


def test_a_configuration_is_held_to_having_nothing_wrong(scan):
    made = scan({"gixy": recorded("gixy-0.2.59.json")})
    made.nginx("edge1", "events {}\n")
    result = told(made)["scan.gixy.findings"]
    assert (result.verdict, result.measured, result.subject) == ("fail", 3, "nginx on edge1")
    kept = made.scanned.artifacts[result.artifacts[0]]
    assert '"plugin": "http_splitting"' in kept and "proxy_pass http" not in kept  # pieces of it may have secrets
    made = scan({"gixy": "[]"})
    made.nginx("edge1", "events {}\n")
    assert verdicts(made) == {"scan.gixy.findings": "pass"}
    made = scan({"gixy": "[]"})
    made.nginx("edge1", "", "nginx -T wrote no configuration on edge1: unknown directive")
    assert told(made)["scan.gixy.findings"].reason.endswith("unknown directive")
    assert verdicts(made) == {"scan.gixy.findings": "unknown"}


def test_an_endpoint_is_held_to_mozillas_intermediate_configuration(scan, tmp_path):
    made = scan({"sslyze": (recorded("sslyze-6.3.1.json"), COMPLIANT)})
    made.compliance("www.example.test", "127.0.0.1", 443, str(tmp_path / "no-such-authority"), "edge1")
    assert verdicts(made) == {"scan.sslyze.intermediate": "pass", "scan.sslyze.certificate": "pass"}
    assert made.scanned.results[0].source == "scan/sslyze 6.3.1"
    made = scan({"sslyze": (recorded("sslyze-6.3.1.json"), FAILED)}, (waiver("sslyze.tls_curves"),))
    made.compliance("www.example.test", "127.0.0.1", 443, "", "edge1")
    result = told(made)["scan.sslyze.intermediate"]
    assert (result.verdict, result.measured) == ("fail", 1)
    assert "sslyze.ciphers: Cipher suites TLS_RSA_A, TLS_RSA_B are supported" in result.reason
    assert "let pass: sslyze.tls_curves" in result.reason


def test_a_certificate_that_no_authority_has_signed_fails(scan):
    report = recorded("sslyze-6.3.1.json").replace(
        '"was_validation_successful": true', '"was_validation_successful": false'
    )
    report = report.replace('"validation_error": null', '"validation_error": "expired"')
    made = scan({"sslyze": (report, COMPLIANT)})
    made.compliance("www.example.test", "127.0.0.1", 443, "")
    result = told(made)["scan.sslyze.certificate"]
    assert result.verdict == "fail" and "sslyze.trust: expired" in result.reason


def test_secrets_are_told_by_rule_file_and_line_and_nothing_of_them_is_kept(scan, tmp_path):
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "vault.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n6231\n")
    report = [
        {
            "RuleID": rule,
            "File": str(tmp_path / file),
            "StartLine": 3,
            "Description": "A key",
            "Secret": "hunter2",
            "Match": "x",
        }
        for rule, file in (("aws-access-token", "group_vars/all.yml"), ("generic-api-key", "vault.yml"))
    ]
    made = scan({"gitleaks": json.dumps(report)})
    made.secrets("inventory", str(tmp_path))
    result = told(made)["scan.gitleaks.secrets"]
    assert (result.verdict, result.measured) == ("fail", 1)
    assert result.reason == "aws-access-token:group_vars/all.yml: line 3, A key (nobody's)"
    (kept,) = made.scanned.artifacts.values()
    assert "hunter2" not in kept and json.loads(kept)[0]["Secret"] == "REDACTED"
    made = scan({"gitleaks": "null"})
    made.secrets("inventory", str(tmp_path))
    assert verdicts(made) == {"scan.gitleaks.secrets": "pass"}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not here")
def test_what_git_ignores_is_no_finding_unless_git_has_it_all_the_same(tmp_path):
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)

    text = recorded("gitleaks-8.16.0.json").replace("/inv/", f"{tmp_path}/inv/")
    (tmp_path / "inv/secrets").mkdir(parents=True)
    (tmp_path / "inv/secrets/x.yml").write_text("x")
    counted = {
        "aws-access-token:group_vars/all.yml",
        "stripe-access-token:group_vars/all.yml",
        "generic-api-key:group_vars/all.yml",
    }
    both = counted | {"generic-api-key:secrets/x.yml"}

    def found() -> set[str]:
        return {finding.id for finding in gitleaks.read(text, tmp_path / "inv")}

    assert found() == both  # in no repository
    git("init")
    assert found() == both
    (tmp_path / ".gitignore").write_text("inv/secrets/\n")
    assert found() == counted
    git("add", "--force", "inv/secrets/x.yml")
    assert found() == both


@pytest.mark.parametrize(
    ("tool", "report", "version", "high"),
    [("trivy", "trivy-2.json", "", "CVE-2026-2222"), ("grype", "grype-0.json", " 0.104.0", "GHSA-xxxx-yyyy-zzzz")],
)
def test_an_image_is_held_to_limits_by_either_scanner(scan, tool, report, version, high):
    made = scan({tool: recorded(report)})
    made.image(tool, IMAGE, "shop")
    results = told(made)
    assert verdicts(made) == {"scan.image.critical": "fail", "scan.image.high": "pass"}
    assert (results["scan.image.critical"].measured, results["scan.image.critical"].limit) == (1, "<= 0")
    assert "CVE-2026-1111: in libssl3t64 3.5.1-1, fixed in 3.5.1-1+deb13u1" in results["scan.image.critical"].reason
    assert results["scan.image.high"].measured == 1
    assert results["scan.image.high"].source == f"scan/{tool}{version}, {IMAGE}"
    made = scan({tool: recorded(report)}, (waiver("CVE-2026-1111"),), high=0)
    made.image(tool, IMAGE, "shop on app1")
    assert verdicts(made) == {"scan.image.critical": "warn", "scan.image.high": "fail"}
    results = told(made)
    assert results["scan.image.high"].subject == "shop on app1"
    assert (
        f"{high}: in " in results["scan.image.high"].reason and "without a fix yet" in results["scan.image.high"].reason
    )


@pytest.mark.parametrize(
    ("leaves", "reason"),
    [
        ({}, "not installed"),
        ({"*": Ended(1, "", "FATAL no such image\n")}, "says: FATAL no such image"),
        ({"*": Ended(124, "", "ERROR: x did not end within 60 s")}, "did not end within 60 s (scan_timeout)"),
        ({"*": PermissionError(13, "Permission denied")}, "could not be started as"),
        ({"*": "{"}, "left no JSON"),
        ({"*": "{}"}, "left no JSON"),
        ({"*": '["x"]'}, "left no JSON"),
    ],
)
def test_what_could_not_run_or_says_nothing_is_unknown(scan, tmp_path, leaves, reason):
    made = scan(dict.fromkeys(programs.ABSENT, leaves["*"]) if leaves else {})
    made.nginx("edge1", "events {}\n")
    made.compliance("www.example.test", "127.0.0.1", 443, "")
    made.secrets("inventory", str(tmp_path))
    made.image("trivy", IMAGE, "shop")
    made.image("grype", IMAGE, "shop on app1")
    results = made.scanned.results
    assert len(results) == 8 and {one.verdict for one in results} == {"unknown"}
    assert all(reason in (one.reason or "") for one in results), [one.reason for one in results]


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (lambda: sslyze.read(recorded("sslyze-6.3.1-refused.json"), ""), "could not look at the endpoint: .*rejected"),
        (lambda: sslyze.read(recorded("sslyze-6.3.1.json"), "Hello"), "did not say whether"),
        (lambda: images.read("trivy", '{"ArtifactName": "shop:2", "Results": []}'), "knows nothing in the image"),
        (lambda: images.read("trivy", recorded("grype-0.json")), "trivy left no JSON"),
        (lambda: images.read("grype", recorded("trivy-2.json")), "grype left no JSON"),
        (lambda: gixy.read("{}x"), "gixy left no JSON"),
        (lambda: gitleaks.read('[{"Secret": "hunter2"}]', Path("/")), "gitleaks left no JSON that can be read$"),
    ],
)
def test_what_says_nothing_is_no_pass(read, reason):
    with pytest.raises(ScanError, match=reason):
        read()


def test_one_that_could_not_run_keeps_its_own_findings_known_and_no_others(scan):
    made = scan({})
    made.compliance("www.x", "127.0.0.1", 443, "", "edge1")
    made.image("trivy", IMAGE, "shop")
    site = "www.x:443 on edge1"
    before = [
        f"{site}: BREACH",
        f"{site}: sslyze.ciphers",
        f"{site}: probe.trace",
        "shop: CVE-2026-1",
        "edge1: CVE-2",
    ]
    made.news("monitor1", before)
    result = made.scanned.results[-1]
    assert json.loads(made.scanned.artifacts[result.artifacts[0]]) == [
        "shop: CVE-2026-1",
        f"{site}: sslyze.ciphers",
    ]


class Site(BaseHTTPRequestHandler):
    """One that shows all that it should not, or nothing, or a page to whatever is asked for."""

    kind = "careless"
    protocol_version = "HTTP/1.1"

    def version_string(self) -> str:
        return "nginx/1.26.3" if self.kind == "careless" else "nginx"

    def answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.kind != "careless":
            for name, value in (
                ("Strict-Transport-Security", "max-age=1"),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"),
                ("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'"),
            ):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.kind == "application":
            return self.answer(200, f"<html>{self.path}</html>".encode(), "text/html")
        if self.kind == "careless" and self.path == "/.git/config":
            return self.answer(200, b"[core]\n\tpassword = hunter2\n", "application/octet-stream")
        return self.answer(200 if self.path == "/" else 404, b"hello", "text/plain")

    def do_TRACE(self) -> None:
        self.answer(200 if self.kind == "careless" else 405, b"", "message/http")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path) -> Iterator[HTTPServer]:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=www.example.test"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), Site)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def probed(scan: Any, site: HTTPServer, kind: str, monkeypatch) -> OptionalScan:
    monkeypatch.setattr(Site, "kind", kind)
    made = scan({})
    made.probe("www.example.test", "127.0.0.1", site.server_port, "edge1")
    return made


def test_a_site_that_shows_what_it_should_not_is_told(scan, site, monkeypatch):
    made = probed(scan, site, "careless", monkeypatch)
    results = told(made)
    assert set(verdicts(made).values()) == {"fail"} and len(results) == 4
    assert "probe.hidden/.git/config: answered with 200" in results["probe.hidden"].reason
    assert results["probe.hidden"].measured == 1
    assert "Server is nginx/1.26.3" in results["probe.server"].reason
    assert "TRACE is answered with 200" in results["probe.trace"].reason
    assert results["probe.headers"].measured == 5
    (raw,) = made.scanned.artifacts.values()
    assert '"/.git/config"' in raw and "hunter2" not in raw


@pytest.mark.parametrize("kind", ["careful", "application"])
def test_a_site_that_shows_nothing_passes_also_where_it_has_a_page_for_every_path(scan, site, monkeypatch, kind):
    assert set(verdicts(probed(scan, site, kind, monkeypatch)).values()) == {"pass"}


def test_probes_that_nobody_answers_are_unknown(scan):
    made = scan({})
    made.probe("www.example.test", "127.0.0.1", 1)
    made.probe("www.example.test", "no-such-host.invalid", 443)
    assert [one.verdict for one in made.scanned.results] == ["unknown"] * 8
    assert "did not answer a request" in made.scanned.results[0].reason
    assert "has no address here" in made.scanned.results[4].reason


def test_a_program_is_found_by_its_path_or_its_name(tmp_path, monkeypatch):
    program = tmp_path / "gixy"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    assert programs.find(["gixy", "sslyze"], {"gixy": str(program)}) == {"gixy": str(program)}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.find(["gixy", "trivy"], {"trivy": "no-such-trivy"}) == {"gixy": str(program)}


def test_the_live_image_is_the_last_that_was_proven(tmp_path):
    def event(kind: str, version: str, run: str) -> str:
        return json.dumps({"at": "2026-11-30T10:00:00Z", "run": run, "event": kind, "version": version}) + "\n"

    (tmp_path / "shop").mkdir()
    history = event("done", "1.0.0", "a") + event("done", "2.0.0", "b") + event("failed", "3.0.0", "c")
    (tmp_path / "shop/history.jsonl").write_text(history)
    services = [{"name": "shop", "image": "registry.example.test/shop"}, {"name": "never", "image": "x"}]
    assert scan_info.live(services, tmp_path) == [{"service": "shop", "image": IMAGE}]


SHOP, BLOG = {"service": "shop", "image": "shop:2"}, {"service": "blog", "image": "blog:1"}
LOOKS: dict[str, dict[str, Any]] = {
    "monitor1": {"programs": {"gixy": "/opt/gixy", "trivy": "/bin/trivy"}, "images": []},
    "app1": {"programs": {"grype": "/bin/grype"}, "images": [SHOP]},
    "app2": {"programs": {}, "images": [SHOP, BLOG]},
    "app3": {"programs": {}, "images": [SHOP]},
}


def test_what_is_there_is_run_and_images_where_they_are_or_once_from_outside():
    made = plan(LOOKS, "monitor1", None)
    assert (made["monitor1"]["gixy"], made["monitor1"]["sslyze"], made["monitor1"]["probes"]) == (True, False, False)
    assert made["monitor1"]["images"] == [{"name": "blog:1", "subject": "blog"}, {"name": "shop:2", "subject": "shop"}]
    assert (made["app1"]["image_scanner"], made["app1"]["images"]) == (
        "grype",
        [{"name": "shop:2", "subject": "shop on app1"}],
    )
    assert made["app2"]["images"] == [] and not made["app1"]["gixy"]


def test_nothing_is_run_of_what_is_not_there_and_all_that_is_asked_for():
    bare = {host: look | {"programs": {}} for host, look in LOOKS.items()}
    made = plan(bare, "monitor1", None)
    assert not any(one["gixy"] or one["sslyze"] or one["images"] for one in made.values())
    made = plan(bare, "monitor1", ["sslyze", "images"])
    assert (made["monitor1"]["gixy"], made["monitor1"]["sslyze"]) == (False, True)
    assert [image["name"] for image in made["monitor1"]["images"]] == ["blog:1", "shop:2"]
    assert plan(LOOKS, "monitor1", ["gixy"])["app1"]["images"] == []
    assert plan({}, "monitor1", None) == {}


def test_a_host_without_a_scanner_says_so_when_who_scans_is_not_in_the_run():
    hosts = {host: look for host, look in LOOKS.items() if host != "monitor1"}
    made = plan(hosts, "monitor1", ["images"])
    assert [image["name"] for image in made["app2"]["images"]] == ["shop:2", "blog:1"]
    assert plan(hosts, "monitor1", None)["app2"]["images"] == []


def test_findings_of_a_configuration_have_their_place():
    (finding,) = gixy.read('[{"plugin": "x", "severity": "LOW", "summary": "S.", "file": "/f", "line": 3}]')
    assert finding == Finding("x", "low, S (/f:3)")
