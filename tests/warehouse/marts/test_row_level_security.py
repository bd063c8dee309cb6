"""An entity's own login sees that entity, whatever it tries; a backend sees the entity it names."""

import psycopg
import pytest
from psycopg import sql

from steadfast.warehouse.locations import sql_directory

MARTS = sorted(path.stem for path in (sql_directory() / "marts").glob("*.sql"))


def read_entities(connection, mart) -> set[str]:
    query = sql.SQL("SELECT DISTINCT entity FROM {}").format(sql.Identifier("marts", mart))
    return {entity for (entity,) in connection.execute(query)}


def read_all_marts(connection) -> dict[str, set[str]]:
    return {mart: read_entities(connection, mart) for mart in MARTS}


EVERY_MART_SHOWS_ACME = {mart: {"acme"} for mart in MARTS}
NOTHING = {mart: set() for mart in MARTS}


def test_every_mart_shows_a_login_its_own_entity_and_no_other(two_entities):
    with two_entities.log_in("acme") as acme, two_entities.log_in("globex") as globex:
        assert read_all_marts(acme) == EVERY_MART_SHOWS_ACME
        assert read_all_marts(globex) == {mart: {"globex"} for mart in MARTS}


def test_the_pipeline_and_the_backup_read_every_mart_of_every_entity(two_entities):
    everything = {mart: {"acme", "globex"} for mart in MARTS}
    with two_entities.database.connect_pipeline() as pipeline:
        assert read_all_marts(pipeline) == everything
    superuser_url = two_entities.database.server.superuser_dsn(two_entities.database.name)
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute("SET ROLE steadfast_backup")
        assert read_all_marts(superuser) == everything


@pytest.mark.parametrize("named", ["2", "1", "", "0", "nonsense", "2' OR true --"])
def test_a_login_cannot_name_another_entity(two_entities, named):
    with two_entities.log_in("acme") as acme:
        acme.execute("SELECT set_config('steadfast.entity_id', %s, false)", (named,))
        assert read_all_marts(acme) == EVERY_MART_SHOWS_ACME


def test_a_login_that_takes_the_role_of_its_group_sees_nothing(two_entities):
    with two_entities.log_in("acme") as acme:
        acme.execute("SET steadfast.entity_id = '2'")
        acme.execute("SET ROLE steadfast_dashboard")
        assert read_all_marts(acme) == NOTHING


@pytest.mark.parametrize(
    "role", ["steadfast_backend", "steadfast_pipeline", "steadfast_backup", "steadfast_owner", "postgres"]
)
def test_a_login_cannot_take_any_other_role(two_entities, role):
    with two_entities.log_in("acme") as acme:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            acme.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            acme.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier(role)))


def test_a_login_cannot_take_the_role_of_another_login(two_entities):
    with two_entities.log_in("globex") as globex:
        other = sql.Identifier(globex.info.user)
    with two_entities.log_in("acme") as acme, pytest.raises(psycopg.errors.InsufficientPrivilege):
        acme.execute(sql.SQL("SET ROLE {}").format(other))


def test_switching_row_security_off_is_an_error_and_not_a_way_in(two_entities):
    with two_entities.log_in("acme") as acme:
        acme.execute("SET row_security = off")
        for mart in MARTS:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                read_entities(acme, mart)


def test_a_login_cannot_learn_what_other_roles_may_see(two_entities):
    with two_entities.log_in("acme") as acme, two_entities.log_in("globex") as globex:
        assert acme.execute("SELECT config.visible_entities(current_user)").fetchall() == [(1,)]
        query = "SELECT config.visible_entities(%s)"
        assert acme.execute(query, (globex.info.user,)).fetchall() == []


def test_a_login_reads_below_the_marts_only_its_own_rows(two_entities):
    with two_entities.log_in("acme") as acme:
        tables = (
            "facts.fact_daily_totals",
            "facts.fact_pages",
            "facts.fact_order",
            "facts.fact_custom",
            "config.webhook_source",
            "landing.dead_letter",
            "ops.partition_ledger",
        )
        for table in tables:
            query = sql.SQL("SELECT DISTINCT entity_id FROM {}").format(sql.Identifier(*table.split(".")))
            assert acme.execute(query).fetchall() == [(1,)], table
        assert acme.execute("SELECT slug FROM config.business_entity").fetchall() == [("acme",)]
        assert acme.execute("SELECT property_id FROM config.ga4_property").fetchall() == [(1001,)]


@pytest.mark.parametrize(
    "table",
    [
        "facts.fact_daily_totals_2026_11",
        "config.entity_login",
        "config.sync_setting",
        "config.webhook_key",
        "landing.ga4_page",
        "landing.webhook_inbox",
        "landing.webhook_event_key",
        "landing.webhook_conflict",
        "ops.sync_item",
        "ops.webhook_chunk",
        "ops.webhook_replay",
        "ops.webhook_traffic",
        "ops.audit_event",
        "ops.signal",
        "ops.mart_definition",
        "quality.check_result",
        "quality.quarantine",
        "pg_catalog.pg_authid",
    ],
)
def test_a_login_cannot_read_any_other_table(two_entities, table):
    with two_entities.log_in("acme") as acme, pytest.raises(psycopg.errors.InsufficientPrivilege):
        acme.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(*table.split("."))))


def test_a_login_reads_nothing_but_what_this_test_names(two_entities):
    with two_entities.log_in("acme") as acme:
        readable = acme.execute(
            "SELECT class.oid::regclass::text FROM pg_class AS class "
            "WHERE relnamespace::regnamespace::text IN ('config', 'landing', 'facts', 'quality', 'ops') "
            "AND relkind IN ('r', 'p', 'v', 'm') AND has_any_column_privilege(class.oid, 'SELECT') "
            "AND NOT class.oid::regclass::text LIKE 'facts.fact_%'"
        ).fetchall()
    names = {name for (name,) in readable}
    assert names == {
        "config.business_entity",
        "config.ga4_property",
        "config.webhook_source",
        "landing.dead_letter",
        "ops.partition_ledger",
    }


def test_a_login_cannot_see_how_a_property_is_reached(two_entities):
    with two_entities.log_in("acme") as acme, pytest.raises(psycopg.errors.InsufficientPrivilege):
        acme.execute("SELECT connection_id FROM config.ga4_property")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("config.webhook_source", "n8n_connection_id"),
        ("config.webhook_source", "tolerance_seconds"),
        ("landing.dead_letter", "detail"),
        ("landing.dead_letter", "event_id"),
        ("landing.dead_letter", "settled_by"),
    ],
)
def test_a_login_sees_of_a_webhook_source_only_what_the_marts_show(two_entities, table, column):
    query = sql.SQL("SELECT {} FROM {}").format(sql.Identifier(column), sql.Identifier(*table.split(".")))
    with two_entities.log_in("acme") as acme, pytest.raises(psycopg.errors.InsufficientPrivilege):
        acme.execute(query)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO marts.properties (property_id) VALUES (1)",
        "UPDATE marts.properties SET property_name = 'mine'",
        "DELETE FROM marts.properties",
        "UPDATE config.business_entity SET slug = 'globex2'",
        "UPDATE landing.dead_letter SET state = 'discarded'",
        "DELETE FROM facts.fact_pages",
        "DELETE FROM facts.fact_order",
        "TRUNCATE ops.partition_ledger",
        "INSERT INTO config.entity_login VALUES (current_user, 2, now())",
        "CREATE TABLE marts.mine ()",
        "CREATE TABLE public.mine ()",
        "CREATE FUNCTION marts.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE another LOGIN",
        "GRANT steadfast_backend TO current_user",
        "ALTER TABLE facts.fact_pages DISABLE ROW LEVEL SECURITY",
        "ALTER VIEW marts.pages SET (security_invoker = false)",
        "SELECT facts.ensure_month('fact_pages', '2020-01-01')",
    ],
)
def test_a_login_cannot_change_anything(two_entities, statement):
    refusals = (
        psycopg.errors.InsufficientPrivilege,
        # A view over a join takes no rows from anybody.
        psycopg.errors.ObjectNotInPrerequisiteState,
    )
    with two_entities.log_in("acme") as acme, pytest.raises(refusals):
        acme.execute(statement)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM marts.pages WHERE pg_temp.tell(entity)",
        "SELECT count(*) FROM marts.daily_overview WHERE pg_temp.tell(entity)",
        "SELECT count(*) FROM marts.daily_totals AS today JOIN marts.partitions USING (property_id) "
        "WHERE pg_temp.tell(today.entity)",
        "SELECT count(*) FROM config.business_entity WHERE pg_temp.tell(slug)",
        "SELECT count(*) FROM config.business_entity WHERE slug <<< 'x'",
        "SELECT count(*) FROM facts.fact_pages WHERE pg_temp.tell(property_id::text)",
        "SELECT count(*) FROM marts.sales_by_channel WHERE pg_temp.tell(entity)",
        "SELECT count(*) FROM marts.webhook_freshness WHERE pg_temp.tell(entity)",
        "SELECT count(*) FROM config.webhook_source WHERE pg_temp.tell('acme' || left(slug, 0))",
    ],
)
def test_a_cheap_function_that_tells_its_argument_is_told_only_own_rows(two_entities, query):
    told: list[str] = []
    with two_entities.log_in("acme") as acme:
        acme.add_notice_handler(lambda notice: told.append(notice.message_primary))
        acme.execute(
            "CREATE FUNCTION pg_temp.tell(value text, other text DEFAULT '') RETURNS boolean "
            "LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE '%', value; RETURN true; END $$"
        )
        acme.execute("CREATE OPERATOR pg_temp.<<< (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.tell)")
        acme.execute(query.replace("<<<", "OPERATOR(pg_temp.<<<)").encode())
        acme.execute("DISCARD TEMP")
    assert set(told) <= {"acme", "1001"}
    assert told


def test_an_error_message_never_carries_a_row_of_another_entity(two_entities):
    with (
        two_entities.log_in("acme") as acme,
        pytest.raises(psycopg.errors.InvalidTextRepresentation) as failure,
    ):
        acme.execute("SELECT slug::integer FROM config.business_entity")
    assert "globex" not in str(failure.value)


def test_a_login_cannot_read_the_statistics_of_other_entities(two_entities):
    two_entities.owner.execute("ANALYZE config.business_entity")
    two_entities.owner.execute("ANALYZE facts.fact_pages")
    with two_entities.log_in("acme") as acme:
        seen = acme.execute(
            "SELECT count(*) FROM pg_stats WHERE schemaname IN ('config', 'landing', 'facts', 'ops')"
        ).fetchone()
    assert seen == (0,)


def test_objects_of_the_session_do_not_stand_in_for_those_of_the_warehouse(two_entities):
    with two_entities.log_in("acme") as acme:
        acme.execute("CREATE TEMPORARY TABLE entity_login (role_name name, entity_id integer)")
        acme.execute("INSERT INTO entity_login VALUES (current_user, 2)")
        acme.execute("SET search_path = pg_temp, config, marts")
        assert read_all_marts(acme) == EVERY_MART_SHOWS_ACME
        acme.execute("DISCARD TEMP")


def test_a_revoked_login_sees_nothing_in_a_session_that_is_still_open(two_entities):
    with two_entities.log_in("acme") as acme:
        two_entities.owner.execute("DELETE FROM config.entity_login WHERE role_name = %s", (acme.info.user,))
        assert read_all_marts(acme) == NOTHING
        two_entities.owner.execute("INSERT INTO config.entity_login VALUES (%s, 1, now())", (acme.info.user,))


def test_a_backend_sees_nothing_until_it_names_an_entity_and_then_only_that_one(two_entities, backend):
    assert read_all_marts(backend) == NOTHING
    backend.execute("SET steadfast.entity_id = '2'")
    assert read_all_marts(backend) == {mart: {"globex"} for mart in MARTS}
    backend.execute("SET steadfast.entity_id = '1'")
    assert read_all_marts(backend) == EVERY_MART_SHOWS_ACME
    backend.execute("RESET steadfast.entity_id")
    assert read_all_marts(backend) == NOTHING


def test_a_backend_forgets_an_entity_that_it_named_for_one_transaction(two_entities, backend):
    with backend.transaction():
        backend.execute("SET LOCAL steadfast.entity_id = '1'")
        assert read_entities(backend, "pages") == {"acme"}
    assert read_entities(backend, "pages") == set()


def test_a_backend_cannot_name_two_entities(two_entities, backend):
    backend.execute("SET steadfast.entity_id = '1,2'")
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        read_entities(backend, "pages")
