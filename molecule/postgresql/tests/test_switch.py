"""Last, because it exchanges the two servers: the standby is promoted, and the old primary rejoins as its standby."""

from __future__ import annotations

from test_postgresql import as_superuser, play, standby, until

__all__ = ["standby"]


def test_an_old_primary_is_rewound_and_follows_the_new_one(host, standby):
    as_superuser(host, "CREATE TABLE fates (row text)")
    assert until(60, lambda: as_superuser(standby, "SELECT to_regclass('fates')") == "fates")
    as_superuser(standby, "SELECT pg_promote()")
    as_superuser(host, "INSERT INTO fates VALUES ('of the old primary, after the new one had left')")
    as_superuser(standby, "INSERT INTO fates VALUES ('of the new primary')")

    rejoined = play("-e", "postgresql_primary=db2", "-e", "postgresql_rejoin=true", "-v")
    assert rejoined.returncode == 0 and "was rewound to where db2 went on" in rejoined.stdout, rejoined.stdout
    assert as_superuser(standby, "SELECT slot_name, active FROM pg_replication_slots") == "db1|t"
    assert until(60, lambda: as_superuser(host, "SELECT row FROM fates") == "of the new primary")
