"""What stands in the way of setting a server up: unknown data, full disks, killed runs, unsigned packages."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from test_postgresql import module, play, standby, until

__all__ = ["standby"]

SPARE = {"version": 17, "name": "spare"}


def test_data_that_nobody_knows_is_not_touched(standby):
    standby.check_output("mkdir -p /srv/precious && echo data > /srv/precious/file")
    refused = module("db2", "postgresql_cluster", SPARE | {"directory": "/srv/precious"})
    assert "/srv/precious (17/spare) is not empty (1 entries) and not known to this host" in refused["msg"]
    assert standby.file("/srv/precious/file").content_string == "data\n"


def test_a_full_disk_and_a_missing_volume_leave_nothing_behind(standby):
    missing = SPARE | {"directory": "/srv/small/17", "mount": "/srv/small"}
    assert "nothing is mounted on /srv/small" in module("db2", "postgresql_cluster", missing)["msg"]
    standby.check_output("mkdir -p /srv/small && mount -t tmpfs -o size=20m tmpfs /srv/small")
    failed = module("db2", "postgresql_cluster", missing)
    assert "No space left on device" in failed["msg"]
    assert (
        standby.check_output("find /srv/small/17 -mindepth 1; ls /var/lib/slipway/postgresql/17-spare.json || true")
        == ""
    )
    standby.check_output("umount /srv/small")


def test_a_run_killed_while_it_makes_the_directory_can_be_run_again(standby):
    directory = SPARE | {"directory": "/srv/spare"}
    with ThreadPoolExecutor() as pool:
        killed = pool.submit(module, "db2", "postgresql_cluster", directory)
        kill = "test -e /srv/spare/PG_VERSION && initdb=$(pgrep -x initdb) && kill -9 $(ps -o ppid= -p $initdb) $initdb"
        assert until(120, lambda: standby.run(kill).rc == 0)
        assert "Killed" in killed.result()["module_stderr"]
    again = module("db2", "postgresql_cluster", directory)
    assert (again["action"], again["changed"]) == ("make", True)
    assert module("db2", "postgresql_cluster", directory)["action"] == "keep"
    standby.check_output("rm -r /srv/spare /var/lib/slipway/postgresql/17-spare.json")


REPOSITORY = r"""
set -e
packages=main/binary-$(dpkg --print-architecture)/Packages
mkdir -p /srv/pgdg/dists/trixie-pgdg/$(dirname $packages)
cd /srv/pgdg/dists/trixie-pgdg
printf 'Package: of-the-other-repository\nVersion: 1\nArchitecture: all\nFilename: x.deb\nSize: 1\n' > $packages
cat > Release <<END
Codename: trixie-pgdg
Date: $(date -uR)
Components: main
Architectures: $(dpkg --print-architecture)
SHA256:
 $(sha256sum $packages | cut -d' ' -f1) $(stat -c %s $packages) $packages
END
export GNUPGHOME=/root/gnupg-$1
rm -rf $GNUPGHOME && install -d -m 0700 $GNUPGHOME
gpg --batch --quiet --passphrase '' --quick-gen-key $1@example.test ed25519 sign
gpg --batch --quiet --yes --clearsign --output InRelease Release
gpg --armor --export
"""


def test_the_other_repositorys_packages_must_be_signed_with_its_key(standby):
    standby.check_output("apt-get install -qq --no-install-recommends gpg gpg-agent")

    def publish(signer):
        return standby.check_output("sh -c %s publish %s", REPOSITORY, signer)

    key = publish("known")
    options = {"postgresql_source": "pgdg", "postgresql_pgdg_uri": "file:/srv/pgdg", "postgresql_pgdg_key": key}
    run = play("-l", "db2", "-e", json.dumps(options))
    assert run.returncode == 0, run.stdout
    assert "Candidate: 1" in standby.check_output("apt-cache policy of-the-other-repository")
    publish("stranger")
    update = standby.run("apt-get update -qq -o APT::Update::Error-Mode=any -o Dir::Etc::sourcelist=/dev/null")
    assert update.rc == 100 and "during the signature verification" in update.stderr
    standby.check_output("rm -r /etc/apt/sources.list.d/pgdg.sources /srv/pgdg /var/lib/apt/lists/*pgdg*")
