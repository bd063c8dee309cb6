"""What each role may reach when it tries everything: an entity's login, a backend, the machinery."""

import secrets
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql

from steadfast.entities.businesses import add_entity
from steadfast.entities.logins import grant_login
from steadfast.entities.properties import add_property
from steadfast.warehouse.bootstrap import scramble
from steadfast.warehouse.connect import connect
from steadfast.warehouse.migrate import migrate
from steadfast.webhooks.events import EVENT_TABLES

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
BY_ANN = {"actor": "cli:ann", "now": NOW}
SECRET = "/merger-with-acme"
SCHEMAS = ("config", "landing", "facts", "marts", "quality", "ops")
RELATIONS = """
SELECT format('%%I.%%I', namespace.nspname, class.relname)
FROM pg_class AS class
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE namespace.nspname = ANY (%s) AND class.relkind IN ('r', 'p', 'v', 'm', 'S')
ORDER BY 1
"""

REACHES = [
    "SET ROLE steadfast_owner",
    "SET ROLE steadfast_pipeline",
    "SET ROLE steadfast_backend",
    "SET ROLE steadfast_backup",
    "SET SESSION AUTHORIZATION steadfast_pipeline",
    "SET session_replication_role = replica",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "COPY (SELECT 1) TO '/dev/null'",
    "CREATE TEMPORARY TABLE business_entity (entity_id integer)",
    "CREATE FUNCTION pg_temp.peek(text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    "CREATE SCHEMA mine",
    "CREATE TABLE public.mine (id integer)",
    "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION lo",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_advisory_xact_lock_shared(1)",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT facts.ensure_month('fact_events', '2030-01-01')",
    "SELECT landing.ensure_day('ga4_page', '2030-01-01')",
    "SELECT ops.add_range_partition('facts', 'fact_events', 'x', '2030-01-01', '2030-02-01')",
    "SELECT * FROM ops.partition_ledger FOR UPDATE",
    "ALTER TABLE facts.fact_events DISABLE ROW LEVEL SECURITY",
    "INSERT INTO config.entity_login VALUES (current_user, 2, now())",
]
TAMPERING = [
    "UPDATE ops.alembic_version SET version_num = '0001'",
    "DELETE FROM ops.alembic_version",
    "UPDATE ops.audit_event SET actor = 'nobody'",
    "DELETE FROM ops.audit_event",
    "TRUNCATE ops.audit_event",
    "INSERT INTO config.entity_login VALUES ('friend', 2, now())",
    "UPDATE config.ga4_property SET entity_id = 1",
    "UPDATE ops.mart_definition SET checksum = 'x'",
    "DROP TABLE facts.fact_events",
    "ALTER TABLE facts.fact_events DISABLE ROW LEVEL SECURITY",
    "CREATE TABLE facts.mine (id integer)",
    "CREATE ROLE friend",
    "SET ROLE steadfast_owner",
]


def is_allowed(session, attempt):
    try:
        session.execute(attempt)
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


@pytest.fixture
def warehouse(database, fact_tables, today):
    """A migrated database of two entities; `cafe` has something to hide in every room."""
    migrate(
        database.owner_url,
        passwords=database.passwords,
        reports=fact_tables,
        events=EVENT_TABLES,
        today=today,
    )
    with database.connect() as owner:
        for number, slug in enumerate(("bakery", "cafe"), start=1):
            add_entity(owner, slug, name=slug, **BY_ANN)
            add_property(
                owner,
                slug,
                number * 100,
                connection_id="steadfast_ga4",
                time_zone="UTC",
                currency="USD",
                display_name=slug,
                **BY_ANN,
            )
    with database.connect_pipeline() as pipeline:
        for entity_id in (1, 2):
            fill_entity(pipeline, entity_id)
    with database.connect() as owner:
        owner.execute("ANALYZE")
    return database


def fill_entity(pipeline, entity_id):
    name = "bread" if entity_id == 1 else SECRET
    values = {"entity": entity_id, "property": entity_id * 100, "name": name, "now": NOW, "day": NOW.date()}
    pipeline.execute(
        "INSERT INTO facts.fact_events (entity_id, property_id, report_date, dim_key, event_name, run_id, "
        "is_provisional) SELECT %(entity)s, %(property)s, %(day)s, gen_random_uuid(), %(name)s, 1, false "
        "FROM generate_series(1, 50)",
        values,
    )
    pipeline.execute(
        "INSERT INTO ops.partition_ledger (property_id, report, report_date, entity_id, run_id, fetched_at, "
        "published_at, held_at, held_reason) "
        "VALUES (%(property)s, 'events', %(day)s, %(entity)s, 1, %(now)s, %(now)s, %(now)s, %(name)s)",
        values,
    )
    pipeline.execute(
        "INSERT INTO quality.check_result (run_id, entity_id, table_name, check_name, severity, "
        "failed_count, detail, checked_at) VALUES (1, %(entity)s, 'x', 'x', 'warning', 1, %(name)s, %(now)s)",
        values,
    )
    pipeline.execute(
        "INSERT INTO ops.signal (dedup_key, kind, severity, entity_id, subject, body, created_at) "
        "VALUES (%(name)s, 'x', 'info', %(entity)s, %(name)s, %(name)s, %(now)s)",
        values,
    )


@pytest.fixture
def make_login(warehouse):
    """A function that makes a login role in some groups; roles outlive a database, so they are dropped."""
    made = []

    def make(*groups):
        name, password = f"login_{len(made)}_{warehouse.name}", secrets.token_urlsafe()
        role = sql.Identifier(name)
        with psycopg.connect(warehouse.server.superuser_dsn(warehouse.name), autocommit=True) as superuser:
            verifier = scramble(superuser, name, password)
            superuser.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, verifier))
            made.append(role)
            for group in groups:
                superuser.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), role))
        return name, connect(warehouse.server.dsn(name, password, warehouse.name), autocommit=True)

    yield make
    with psycopg.connect(warehouse.server.superuser_dsn(warehouse.name), autocommit=True) as superuser:
        for role in made:
            superuser.execute(sql.SQL("DROP OWNED BY {} CASCADE; DROP ROLE {}").format(role, role))


@pytest.fixture
def baker(warehouse):
    """A session of the bakery's own login."""
    name = f"baker_{warehouse.name}"
    with warehouse.connect() as owner:
        password = grant_login(owner, "bakery", name, **BY_ANN)
        with connect(warehouse.server.dsn(name, password, warehouse.name), autocommit=True) as session:
            yield session
        owner.execute(sql.SQL("GRANT {0} TO CURRENT_USER").format(sql.Identifier(name)))
        owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def list_relations(warehouse):
    with warehouse.connect() as owner:
        return [name for (name,) in owner.execute(RELATIONS, [list(SCHEMAS)])]


def read_everything(session, relations):
    """The text of every row that the session may read, by relation."""
    found = {}
    for name in relations:
        try:
            rows = session.execute(
                sql.SQL("SELECT row(t.*)::text FROM {} AS t").format(sql.SQL(name))
            ).fetchall()
        except psycopg.errors.InsufficientPrivilege:
            continue
        found[name] = " ".join(row[0] for row in rows)
    return found


def test_a_login_reads_no_row_of_another_entity_in_any_table_view_or_partition(warehouse, baker):
    relations = list_relations(warehouse)
    for entity_id in ("", "2"):
        baker.execute("SELECT set_config('steadfast.entity_id', %s, false)", (entity_id,))
        found = read_everything(baker, relations)
        assert "bread" in found["marts.events"]
        assert not [name for name, text in found.items() if SECRET in text or "cafe" in text]
    assert not [name for name in found if name.startswith(("landing.", "quality.", "facts.fact_events_"))]
    assert {name for name in found if name.startswith("ops.")} == {"ops.partition_ledger"}


def test_a_login_finds_no_value_of_another_entity_in_the_statistics(baker):
    for view in ("pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"):
        query = sql.SQL("SELECT count(*) FROM {} AS s WHERE strpos(s::text, %s) > 0")
        assert baker.execute(query.format(sql.Identifier(view)), [SECRET]).fetchone() == (0,)


def test_a_login_does_not_see_what_others_are_asking(warehouse, baker):
    with warehouse.connect_pipeline() as pipeline:
        pipeline.execute("SELECT '/merger-with-acme'")
        query = "SELECT query FROM pg_stat_activity WHERE pid = %s"
        asked = baker.execute(query, [pipeline.info.backend_pid]).fetchone()
    assert asked == ("<insufficient privilege>",)


def test_a_login_gets_no_further_than_reading(baker):
    assert not [attempt for attempt in REACHES if is_allowed(baker, attempt)]


def test_switching_row_security_off_shows_an_error_and_no_row(baker):
    baker.execute("SET row_security = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        baker.execute("SELECT * FROM marts.events")


def test_the_group_of_all_logins_sees_nothing_by_itself(baker):
    baker.execute("SET ROLE steadfast_dashboard")
    assert baker.execute("SELECT count(*) FROM marts.events").fetchone() == (0,)


def test_the_entities_of_another_login_cannot_be_asked_for(baker):
    query = "SELECT config.visible_entities(rolname) FROM pg_roles WHERE rolname <> current_user"
    assert baker.execute(query).fetchall() == []


def test_a_backend_sees_nothing_until_it_names_an_entity_and_then_that_one(make_login):
    _, backend = make_login("steadfast_backend")
    query = "SELECT DISTINCT entity FROM marts.events"
    assert backend.execute(query).fetchall() == []
    for entity_id, entity in (("1", "bakery"), ("2", "cafe")):
        backend.execute("SELECT set_config('steadfast.entity_id', %s, false)", (entity_id,))
        assert backend.execute(query).fetchall() == [(entity,)]


def test_an_entitys_login_that_is_made_a_backend_by_mistake_still_names_no_entity(warehouse, make_login):
    name, session = make_login("steadfast_dashboard", "steadfast_backend")
    with warehouse.connect() as owner:
        owner.execute("INSERT INTO config.entity_login VALUES (%s, 1, now())", [name])
    session.execute("SET steadfast.entity_id = '2'")
    for role in (name, "steadfast_backend"):
        session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        seen = {entity for (entity,) in session.execute("SELECT entity FROM marts.events")}
        assert "cafe" not in seen


def test_the_receiver_reads_who_may_send_and_nothing_that_was_sent(warehouse, make_login):
    _, receiver = make_login("steadfast_receiver")
    read = read_everything(receiver, list_relations(warehouse))
    assert sorted(read) == ["config.webhook_key", "config.webhook_source"]


def test_the_backup_reads_everything_that_a_dump_holds_and_changes_nothing(warehouse, make_login):
    _, backup = make_login("steadfast_backup")
    backup.execute("SET ROLE steadfast_backup")
    relations = list_relations(warehouse)
    assert sorted(read_everything(backup, relations)) == relations
    for attempt in ("DELETE FROM facts.fact_events", "UPDATE config.business_entity SET name = 'x'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            backup.execute(attempt)


def test_the_pipeline_may_not_change_who_sees_what_nor_its_traces(warehouse):
    with warehouse.connect_pipeline() as pipeline:
        assert not [attempt for attempt in TAMPERING if is_allowed(pipeline, attempt)]


def test_what_the_pipeline_makes_in_temporary_space_does_not_shadow_what_runs_as_the_owner(warehouse):
    with warehouse.connect_pipeline() as pipeline:
        pipeline.execute("CREATE TEMPORARY TABLE pg_inherits (inhparent oid, inhrelid oid)")
        pipeline.execute("CREATE TEMPORARY TABLE pg_class (oid oid, relname name)")
        query = "SELECT facts.ensure_month('fact_events', '2031-01-01')"
        assert [pipeline.execute(query).fetchone() for _ in range(2)] == [(True,), (False,)]


def test_no_function_of_ours_is_for_everybody_and_each_that_runs_as_its_owner_fixes_its_names(warehouse):
    with warehouse.connect() as owner:
        functions = owner.execute(
            "SELECT oid::regproc::text, has_function_privilege('public', oid, 'EXECUTE'), prosecdef, "
            "proconfig FROM pg_proc WHERE pronamespace = ANY (%s::regnamespace[])",
            [list(SCHEMAS)],
        ).fetchall()
    assert functions
    assert not [name for name, is_public, _, _ in functions if is_public]
    assert all(
        "search_path=pg_catalog, pg_temp" in (config or []) for _, _, definer, config in functions if definer
    )


def test_one_login_cannot_use_up_the_connections_of_everybody(warehouse, baker):
    limit = baker.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user").fetchone()
    assert 0 < limit[0] <= 20
