"""documents.yml as an operator runs it, on the inventories that there are; their hosts are not reached."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.evidence.store import Store
from pages import Reader, resolved
from playbook import ROOT, Run, play

SYSTEMS = {
    "demo": "sample",
    "modelops": "api",
    "mentoring": "mentoring",
    "receipts": "receipts",
    "insitechart": "charts",
}
KIWI = "all: {hosts: {kiwi1: {}}, children: {monitor: {hosts: {kiwi1: }}}}\n"


def record(identifier: str, subject: str, **more: Any) -> dict[str, Any]:
    fields = {"id": identifier, "area": identifier.partition(".")[0], "subject": subject, "claim": "A claim"}
    return fields | {"verdict": "pass", "at": timestamp(), "source": "test", **more}


def run(inventory: Path, place: Path, *options: str, **variables: Any) -> Run:
    given = {
        "evidence_store": str(place / "store"),
        "evidence_host": "localhost",
        "documents_dir": str(place / "documents"),
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    return play("slipway.ops.documents", inventory, *options, timeout=300, **(given | variables))


@pytest.fixture
def kiwi(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.yml"
    path.write_text(KIWI)
    return path


@pytest.mark.parametrize(("system", "service"), SYSTEMS.items())
def test_a_systems_documents_lead_to_each_other_and_hold_no_secret(system: str, service: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "inventories" / system, tmp_path / system, ignore=shutil.ignore_patterns("secrets"))
    (tmp_path / system / "secrets").mkdir()
    (tmp_path / system / "secrets" / "dump_key").write_text("# public key: age1test\nAGE-SECRET-KEY-1" + "Q" * 58)
    engine = "mongodb" if system == "modelops" else "postgresql"
    drill = [
        record(f"data.drill.{engine}.result", "main"),
        record(f"data.drill.{engine}.rto", "main", measured=93.0, unit="s", limit="<= 2 h"),
    ]
    released = record("delivery.deploy.result", service, measured="2.7.1")
    Store(tmp_path / "store").append([*drill, released], "run")
    done = run(tmp_path / system / "hosts.yml", tmp_path)
    assert done.code == 0 and done.changed == 0, done.output
    place = tmp_path / "documents"
    pages = {str(path.relative_to(place)): Reader(path.read_text()) for path in place.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            if not link.startswith("http://localhost:9090/graph?"):
                target, anchor = resolved(path, link)
                assert target in pages and (not anchor or anchor in pages[target].ids), f"{path}: {link}"
    for language in ("en", "ko"):
        assert "1m33s" in (place / language / "recovery.md").read_text()
        assert "2.7.1" in (place / language / f"service-{service}.md").read_text()
    written = "".join(path.read_text() for path in place.rglob("*") if path.is_file())
    for secret in (tmp_path / system / "secrets").iterdir():
        assert secret.read_text().split()[-1] not in written, secret.name


def test_they_are_replaced_as_a_whole_and_nothing_else_is(kiwi: Path, tmp_path: Path) -> None:
    assert run(kiwi, tmp_path).code == 0
    assert (tmp_path / "documents/en/host-kiwi1.html").exists()
    kiwi.write_text(KIWI.replace("kiwi1", "kiwi2"))
    assert run(kiwi, tmp_path, "--check").code == 0
    assert (tmp_path / "documents/en/host-kiwi1.html").exists(), "check mode writes nothing"
    assert run(kiwi, tmp_path).code == 0
    assert {path.name for path in (tmp_path / "documents/en").glob("host-*.html")} == {"host-kiwi2.html"}
    assert not list(tmp_path.glob(".documents-*"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    refused = run(kiwi, tmp_path, documents_dir=str(tmp_path / "mine"))
    assert refused.code != 0 and "nothing is overwritten" in refused.said and "Nothing was written" in refused.said
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_damaged_store_is_told(kiwi: Path, tmp_path: Path) -> None:
    Store(tmp_path / "store").append([record("infrastructure.disk.root", "kiwi1")], "run")
    (newest,) = list((tmp_path / "store").rglob("*.jsonl"))
    newest.write_text(newest.read_text() + '{"id": "infra\n')
    assert run(kiwi, tmp_path).code == 0
    said = (tmp_path / "documents/en/host-kiwi1.md").read_text()
    assert "1 lines of the store" in said and "infrastructure.disk.root" in said


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"documents_dri": "x"}, "did you mean documents_dir?"),
        ({"documents_contacts": "Kim"}, "documents_contacts"),
        ({"jobs_list": [{"name": "x", "playbook": "y.yml", "schedule": "EVERY"}]}, "job x"),
    ],
)
def test_what_cannot_be_meant_is_refused(kiwi: Path, tmp_path: Path, variables: dict[str, Any], said: str) -> None:
    refused = run(kiwi, tmp_path, **variables)
    assert refused.code != 0 and said in refused.said and "Traceback" not in refused.output
    assert not (tmp_path / "documents").exists()


@pytest.mark.parametrize(
    ("inventory", "variables", "listed"),
    [
        (KIWI, {}, False),
        (KIWI, {"jobs_list": [{"name": "drift", "enabled": False}]}, True),
        (KIWI, {"awx_url": "https://awx.example.test"}, True),
        (KIWI.replace("monitor:", "controller: {hosts: {kiwi1: }}, monitor:"), {}, True),
    ],
    ids=["nothing runs any", "a list", "AWX", "a controller"],
)
def test_jobs_are_told_where_something_runs_them(
    kiwi: Path, tmp_path: Path, inventory: str, variables: dict[str, Any], listed: bool
) -> None:
    """The inventory says them, as an operator writes it; what the command line says is no part of it."""
    kiwi.write_text(inventory)
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(yaml.safe_dump(variables))
    done = run(kiwi, tmp_path)
    assert done.code == 0, done.output
    said = (tmp_path / "documents/en/operations.md").read_text()
    assert ("No job is on the list" in said, "All checks of the inventory" in said) == (not listed, listed)


def test_a_part_of_a_system_has_no_documents(kiwi: Path, tmp_path: Path) -> None:
    kiwi.write_text("all: {hosts: {kiwi1: {}, kiwi2: {}}}\n")
    refused = run(kiwi, tmp_path, "--limit", "kiwi1")
    assert refused.code != 0 and "--limit leaves out kiwi2" in refused.said
