"""Who gets in, and what can be seen by who looks at processes and logs; what the role refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from backup_hosts import CONTAINER, INVENTORY, KEY, SCENARIO, Held, backup1, db1, files_with_key, results, until
from playbook import play

testinfra_hosts = ["backup1"]
CERTIFICATE = "/etc/pgbackrest/certificates"
STRANGER = "/var/lib/postgresql/stranger"
STRANGERS = f"--repo1-host-cert-file={STRANGER}/certificate.pem --repo1-host-key-file={STRANGER}/key.pem"
OWN = f"--repo1-host-cert-file={CERTIFICATE}/fullchain.pem --repo1-host-key-file={CERTIFICATE}/key.pem"


def ask(shown: str, host: str = "backup1"):
    """What the repository host answers to who shows this certificate, if any, and asks what is in the repository."""
    options = f"--repo1-host={host} --repo1-host-type=tls --repo1-host-ca-file={CERTIFICATE}/ca.pem {shown}"
    return db1.run(f"runuser -u postgres -- pgbackrest --config=/dev/null --stanza=main {options} repo-ls")


@pytest.fixture
def stranger():
    """Makes certificates: of the internal authority, or of one that a stranger made."""
    db1.check_output(f"install -d -o postgres -m 0700 {STRANGER}")
    backup1.check_output(f"install -d -m 0700 {STRANGER}")
    yield
    db1.check_output(f"rm -rf {STRANGER}")
    backup1.check_output(f"rm -rf {STRANGER}")


def sign(host, name: str, authority: str) -> None:
    """A key and a certificate for a name, as db1's user postgres has them."""
    new = f"openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name}"
    host.check_output(f"{new} -keyout {STRANGER}/key.pem -out {STRANGER}/request.pem 2>&1")
    extensions = f"subjectAltName=DNS:{name}\nextendedKeyUsage=clientAuth"
    host.check_output(f"printf %s '{extensions}' > {STRANGER}/extensions")
    host.check_output(
        f"openssl x509 -req -in {STRANGER}/request.pem -days 1 -extfile {STRANGER}/extensions {authority}"
        f" -out {STRANGER}/certificate.pem 2>&1"
    )
    for file in ("key.pem", "certificate.pem"):
        content = host.file(f"{STRANGER}/{file}").content_string
        db1.check_output(f"printf %s '{content}' | install -o postgres -m 0600 /dev/stdin {STRANGER}/{file}")


def test_a_client_without_certificate_gets_nothing():
    """pgBackRest's client never tries; so what it sends is forwarded over connections with and without certificate."""
    script = (Path(__file__).parent / "forward.py").read_text()
    db1.check_output("printf '%%s' %s > /run/forward.py", script)
    answers = []
    for shown in (f"{CERTIFICATE}/fullchain.pem {CERTIFICATE}/key.pem", ""):
        db1.check_output(f"systemd-run --unit=forward python3 /run/forward.py {shown}")
        assert until(lambda: db1.run("ss -Hltn 'sport = :9432'").stdout)
        answers.append(ask(f"{OWN} --repo1-host-port=9432", host="db1"))
        db1.check_output("systemctl stop forward.service")
    let_in, refused = answers
    assert let_in.rc == 0 and "archive" in let_in.stdout, let_in
    assert refused.rc != 0 and "archive" not in refused.stdout, refused


@pytest.mark.usefixtures("stranger")
def test_a_certificate_of_another_authority_gets_nothing():
    db1.check_output(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=db1 -days 1"
        f" -keyout {STRANGER}/ca.key -out {STRANGER}/ca.pem 2>&1"
    )
    sign(db1, "db1", f"-CA {STRANGER}/ca.pem -CAkey {STRANGER}/ca.key")
    refused = ask(STRANGERS)
    assert refused.rc != 0 and "TLS" in refused.stdout + refused.stderr, refused


@pytest.mark.usefixtures("stranger")
def test_a_certificate_of_another_host_gets_nothing():
    sign(backup1, "app1", "-CA /etc/slipway/ca/ca-1.crt -CAkey /etc/slipway/ca/ca-1.key")
    refused = ask(STRANGERS)
    assert refused.rc != 0 and "access denied" in refused.stdout + refused.stderr, refused


def test_it_listens_where_it_must():
    for host in (db1, backup1):
        address = host.check_output("getent hosts $(hostname)").split()[0]
        listening = host.check_output("ss -Hltn 'sport = :8432'").split()
        assert f"{address}:8432" in listening and "0.0.0.0:8432" not in listening


def test_no_secret_is_in_processes_or_logs(watch):
    """Every host is watched through all tests; here it is known that there is something to see."""
    backup1.check_output("slipway-backup full && slipway-backup incr && slipway-backup verify")
    watch.verify()
    assert watch.saw(CONTAINER + "backup1", "--type=full") and watch.saw(CONTAINER + "db1", "pgbackrest")
    logs = watch.looked[CONTAINER + "backup1"].read
    assert logs["journal"] > 1000 and logs["/var/log"] > 1000, logs
    for host in ("db1", "backup1"):
        assert files_with_key(host, "/run", "/tmp", "/var/lib/slipway") == []


def test_a_renewed_certificate_is_taken_up_and_ends_no_backup():
    def served() -> str:
        show = "openssl s_client -connect backup1:8432 </dev/null 2>/dev/null | openssl x509 -noout -serial"
        return db1.check_output(show)

    before = served()
    with Held() as full:
        run = play(SCENARIO / "certificate.yml", INVENTORY, certificate_renew_below=1000)
        assert run.code == 0, run.output
        assert until(lambda: served() != before)
        full.release()
    assert results("data.backup.full")["verdict"] == "pass"
    assert backup1.run("slipway-backup incr").rc == 0


# What else is refused before anything is done is in the unit tests of the settings.
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"pgbackrest_repositories": [{"type": "host", "host": "backup1"}]}, "openssl rand -base64 48"),
        ({"pgbackrest_certificate": "absent"}, "/etc/slipway/certificates/absent/key.pem is not there"),
        ({"pgbackrest_retention": 3}, "pgbackrest_retention"),
        ({"pgbackrest_settings": {"repo1-retention-ful": 3}}, "repo1-retention-ful"),
        ({"pgbackrest_settings": {"protocol-timeout": "soon"}}, "'soon' is not valid for"),
    ],
    ids=["no key", "no certificate", "misspelt", "unknown option", "nonsense"],
)
def test_what_cannot_work_is_refused(variables, words):
    before = backup1.check_output("sha256sum /etc/pgbackrest/pgbackrest.conf")
    run = play(SCENARIO / "pgbackrest.yml", INVENTORY, "--limit", "!lone1", **variables)
    assert run.code != 0 and words in run.said, run.output
    assert KEY not in run.output and "Traceback" not in run.output
    assert backup1.check_output("sha256sum /etc/pgbackrest/pgbackrest.conf") == before
