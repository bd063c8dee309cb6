"""Marts: order, replacement, and what stands in the way."""

import pytest

from steadfast.errors import ConfigError
from steadfast.warehouse.event_tables import EventColumn, EventTable
from steadfast.warehouse.marts import Mart, apply_marts, order_marts, read_marts, repeat_parts

BASE = Mart("base", "CREATE VIEW marts.base WITH (security_invoker = true) AS SELECT 1 AS one;\n")
TOP = Mart("a_top", "-- needs: base\nCREATE MATERIALIZED VIEW marts.a_top AS SELECT one FROM marts.base;\n")


def in_order(*marts):
    found = {mart.name: mart for mart in marts}
    return {name: found[name] for name in order_marts(found)}


def test_a_mart_comes_after_those_it_needs():
    assert list(in_order(TOP, BASE)) == ["base", "a_top"]


def test_marts_that_need_each_other_are_refused():
    one, two = Mart("one", "-- needs: two\n"), Mart("two", "-- needs: one\n")
    with pytest.raises(ConfigError, match=r"one -> two -> one|two -> one -> two"):
        in_order(one, two)


def test_an_unknown_need_lists_the_known_marts():
    with pytest.raises(ConfigError, match="needs 'base'; known are a_top"):
        in_order(TOP)


def test_files_are_read_in_the_order_they_apply(tmp_path):
    for mart in (TOP, BASE):
        (tmp_path / f"{mart.name}.sql").write_text(mart.text)
    assert read_marts(tmp_path, ()) == in_order(TOP, BASE)


def test_what_is_said_of_each_event_table_is_written_out_for_all_of_them():
    tables = [EventTable(name, ("id",), (EventColumn("id", "text", True),)) for name in ("fact_a", "fact_b")]
    text = (
        "WITH every AS (\n    -- for each event table\n    SELECT '{event_type}' AS kind FROM facts.{table}\n"
        "    -- end\n)\nSELECT kind FROM every;\n"
    )
    assert repeat_parts(text, tables) == (
        "WITH every AS (\n    SELECT 'a' AS kind FROM facts.fact_a\n    UNION ALL\n"
        "    SELECT 'b' AS kind FROM facts.fact_b\n)\nSELECT kind FROM every;\n"
    )


def test_they_replace_what_was_there_once(database):
    with database.connect() as connection:
        assert apply_marts(connection, in_order(TOP, BASE)) == ["base", "a_top"]
        assert apply_marts(connection, in_order(TOP, BASE)) == []
        names = connection.execute(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'marts'::regnamespace"
        )
        assert sorted(names) == [("a_top",), ("base",)]


def test_a_changed_file_changes_the_mart_and_keeps_it_readable(database):
    changed = Mart("base", BASE.text.replace("1 AS one", "2 AS one, '%' AS sign"))
    with database.connect() as connection:
        apply_marts(connection, in_order(TOP, BASE))
        apply_marts(connection, in_order(TOP, changed))
        assert connection.execute("SELECT one FROM marts.a_top").fetchone() == (2,)
        connection.execute("GRANT steadfast_dashboard TO steadfast_owner")
        connection.execute("SET ROLE steadfast_dashboard")
        assert connection.execute("SELECT one, sign FROM marts.base").fetchone() == (2, "%")


def test_a_broken_file_is_named_and_the_old_marts_stay(database):
    broken = Mart("base", "CREATE VIEW marts.base AS SELECT nothing FROM nowhere;\n")
    with database.connect() as connection:
        apply_marts(connection, in_order(BASE))
        with pytest.raises(ConfigError, match=r"base\.sql cannot be applied"):
            apply_marts(connection, in_order(broken))
        assert connection.execute("SELECT one FROM marts.base").fetchone() == (1,)


def test_a_view_that_somebody_built_on_a_mart_is_never_dropped(database):
    with database.connect() as connection:
        apply_marts(connection, in_order(BASE))
        connection.execute("CREATE SCHEMA theirs")
        connection.execute("CREATE VIEW theirs.report AS SELECT one FROM marts.base")
        with pytest.raises(ConfigError, match=r"theirs\.report depends on view marts\.base"):
            apply_marts(connection, in_order(Mart("base", BASE.text + "-- changed\n")))
        assert connection.execute("SELECT one FROM theirs.report").fetchone() == (1,)
