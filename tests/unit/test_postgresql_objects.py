from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql import PostgresqlError, objects
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.catalog import (
    Catalog,
    DatabaseState,
    Inside,
    Role,
)
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.model import read
from ansible_collections.slipway.ops.plugins.module_utils.engines.postgresql.scram import verifier

SHOP = [{"name": "shop", "extensions": ["pg_trgm"]}]
NOBODY = Role(True, False, frozenset(), -1, None, frozenset())


def told(changes):
    return [change.told for change in changes]


def user(name="ann", **options):
    return {"name": name, **options}


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ([user(), user()], "user 'ann' is listed twice"),
        ([user("postgres")], "postgres is the superuser"),
        ([user("pg_ann")], "role 'pg_ann'"),
        ([user("public")], "role 'public'"),  # to the server it is everybody, even in quotes
        ([user("a" * 64)], "a name has 1 to 63 bytes"),
        ([user(attributes=["SUPERUSER"])], "attribute 'SUPERUSER' is none of"),
        ([user(databases={"shpo": "readonly"})], "database 'shpo' is none of postgres, shop"),
        ([user(databases={"shop": "all"})], "access 'all' is none of connect, readonly, readwrite, owner"),
        ([user(password="")], "user 'ann' has an empty password"),
        ([user(password=12345)], "user 'ann' has a password that is no text; write it in quotes"),
        ([user(password=["a"])], "has a password that is no text"),
        ([user("shop_owner"), user(databases={"shop": "readonly"})], ""),
        ([user("shop_readonly"), user(databases={"shop": "readonly"})], "has the name of a role that holds"),
        ([user(databases={"postgres": "owner"})], "would own 'postgres', which is the superuser's"),
    ],
)
def test_nonsense_is_refused_in_words(users, said):
    if not said:
        read(users, SHOP)
        return
    with pytest.raises(PostgresqlError) as caught:
        read(users, SHOP)
    assert said in str(caught.value)


def test_a_slot_needs_a_name_that_the_server_takes():
    with pytest.raises(PostgresqlError, match="'db-2' is not a name for a slot"):
        read([], [], ["db-2"])


def test_secrets_show_nowhere():
    wanted = read([user(password="secret-in-this-test")], [])
    changes = list(objects.role_changes(wanted, Catalog()))
    assert "secret-in-this-test" not in repr(wanted) + repr(changes) + str([change.sql for change in changes])
    assert "SCRAM-SHA-256" not in repr(changes) and "SCRAM-SHA-256" in changes[0].sql


def test_a_user_is_made_once():
    wanted = read([user(password="x", attributes=["createdb"], connection_limit=3)], [])
    assert told(objects.role_changes(wanted, Catalog())) == [
        "make the user ann: may log in, CREATEDB, at most 3 connections, a password"
    ]
    there = Role(True, False, frozenset({"CREATEDB"}), 3, verifier("x"), frozenset())
    assert told(objects.role_changes(wanted, Catalog({"ann": there}))) == []


@pytest.mark.parametrize(
    ("options", "role", "sql"),
    [
        ({}, replace(NOBODY, superuser=True), 'ALTER ROLE "ann" NOSUPERUSER'),
        ({"login": False}, NOBODY, 'ALTER ROLE "ann" NOLOGIN'),
        ({}, replace(NOBODY, attributes=frozenset({"CREATEROLE"})), 'ALTER ROLE "ann" NOCREATEROLE'),
        ({}, replace(NOBODY, verifier=verifier("x")), 'ALTER ROLE "ann" PASSWORD NULL'),
        ({}, replace(NOBODY, connection_limit=3), 'ALTER ROLE "ann" CONNECTION LIMIT -1'),
        ({"roles": ["pg_monitor"]}, NOBODY, 'GRANT "pg_monitor" TO "ann"'),
        ({}, replace(NOBODY, memberships=frozenset({"pg_monitor"})), 'REVOKE "pg_monitor" FROM "ann"'),
    ],
)
def test_what_differs_is_changed_and_nothing_else(options, role, sql):
    changes = list(objects.role_changes(read([user(**options)], []), Catalog({"ann": role})))
    assert [change.sql for change in changes] == [sql]


def test_another_password_is_a_change_that_does_not_tell_it():
    wanted = read([user(password="new")], [])
    (change,) = objects.role_changes(wanted, Catalog({"ann": replace(NOBODY, verifier=verifier("old"))}))
    assert change.told == "change the user ann: another password"
    md5 = objects.role_changes(wanted, Catalog({"ann": replace(NOBODY, verifier="md5" + "0" * 32)}))
    assert told(md5) == [change.told]


def test_names_and_texts_are_quoted():
    wanted = read([user('a"; DROP', roles=["x'y"])], [{"name": "d", "locale": "a'b\\"}])
    statements = [change.sql for change in objects.role_changes(wanted, Catalog())]
    assert statements[1].startswith('CREATE ROLE "a""; DROP"')
    (made, *_) = (change.sql for change in objects.database_changes(wanted, Catalog()) if "CREATE" in change.sql)
    assert "TEMPLATE template0" in made
    assert any("E'a''b\\\\'" in change.sql for change in objects.database_changes(wanted, Catalog()))


def test_moving_from_readwrite_to_readonly_takes_writing_away():
    wanted = read([user(databases={"shop": "readonly"})], SHOP)
    roles = {
        "shop_owner": NOBODY,
        "shop_readonly": NOBODY,
        "ann": replace(NOBODY, memberships=frozenset({"shop_readwrite"})),
    }
    assert told(objects.role_changes(wanted, Catalog(roles))) == [
        "make ann a member of shop_readonly",
        "end the membership of ann in shop_readwrite",
    ]
    state = DatabaseState("shop_owner", "UTF8", "C.UTF-8", False, frozenset({"ann"}), frozenset({"ann"}))
    changes = objects.database_changes(wanted, Catalog(databases={"shop": state}))
    assert "let ann no longer temporary in shop" in told(changes)


def test_a_user_without_access_any_more_cannot_even_connect():
    state = DatabaseState(
        "shop_owner", "UTF8", "C", True, frozenset({"ann", "stranger"}), frozenset(), {"ann": "shop_owner"}
    )
    statements = [
        change.sql for change in objects.database_changes(read([user()], SHOP), Catalog(databases={"shop": state}))
    ]
    assert 'REVOKE ALL ON DATABASE "shop" FROM PUBLIC' in statements
    assert 'REVOKE CONNECT ON DATABASE "shop" FROM "ann"' in statements
    assert 'ALTER ROLE "ann" IN DATABASE "shop" RESET role' in statements
    assert not any("stranger" in statement for statement in statements)


def test_in_a_database_that_is_no_longer_listed_users_may_nothing():
    state = DatabaseState(
        "old_owner", "UTF8", "C", False, frozenset({"ann", "stranger", "old_owner"}), frozenset({"ann"})
    )
    changes = objects.database_changes(read([user()], SHOP), Catalog(databases={"Old DB": state}))
    assert [change.sql for change in changes if "Old DB" in change.sql] == [
        'REVOKE CONNECT ON DATABASE "Old DB" FROM "ann"',
        'REVOKE TEMPORARY ON DATABASE "Old DB" FROM "ann"',
    ]


def test_a_database_may_be_called_like_a_template_but_is_none():
    assert read([], [{"name": "templates"}]).databases[1].name == "templates"
    with pytest.raises(PostgresqlError, match="is no template's"):
        read([], [{"name": "template1"}])


def test_owners_share_what_they_make():
    wanted = read([user(databases={"shop": "owner"}), user("bob", databases={"shop": "owner"})], SHOP)
    statements = [change.sql for change in objects.database_changes(wanted, Catalog())]
    for name in ("ann", "bob"):
        assert f'ALTER ROLE "{name}" IN DATABASE "shop" SET role = \'shop_owner\'' in statements
    own = read([user(databases={"shop": "owner"})], [{"name": "shop", "owner": "ann"}])
    assert not any("SET role" in change.sql for change in objects.database_changes(own, Catalog()))
    assert own.groups == {}


def test_encoding_and_locale_are_for_a_databases_life():
    state = DatabaseState("shop_owner", "LATIN1", "C", False, frozenset(), frozenset())
    with pytest.raises(PostgresqlError, match="has the encoding LATIN1, the inventory says UTF8"):
        list(objects.database_changes(read([], SHOP), Catalog(databases={"shop": state})))


def test_inside_a_database_only_what_lacks_is_granted():
    wanted = read([user(databases={"shop": "readwrite"})], SHOP)
    (shop,) = (database for database in wanted.databases if database.name == "shop")
    groups = frozenset({"shop_readonly", "shop_readwrite"})
    done = Inside(
        extensions=frozenset({"pg_trgm"}),
        schemas=("public",),
        public_owner="pg_database_owner",
        lacking=dict.fromkeys(groups, frozenset()),
        defaults=groups,
    )
    assert told(objects.inside_changes(wanted, shop, done)) == []
    lacks = replace(done, lacking={"shop_readonly": frozenset(), "shop_readwrite": frozenset({"sales"})})
    (change,) = objects.inside_changes(wanted, shop, lacks)
    assert 'INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "sales" TO "shop_readwrite"' in change.sql
    assert told(objects.inside_changes(wanted, shop, replace(done, public_creates=True))) == [
        "let not everybody make tables in shop"
    ]


def test_a_superuser_that_nobody_listed_is_told():
    roles = {"postgres": replace(NOBODY, superuser=True), "root": replace(NOBODY, superuser=True)}
    (warning,) = objects.strangers(read([], []), Catalog(roles))
    assert warning.startswith("root is a superuser")
