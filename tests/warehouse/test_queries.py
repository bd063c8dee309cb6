"""Named queries."""

import pytest
from psycopg import sql

from steadfast.errors import ConfigError
from steadfast.warehouse.locations import sql_directory
from steadfast.warehouse.queries import list_packages, load_queries, parse_queries

TWO = """-- Everything about items.

-- name: count_items
-- How many there are.
SELECT count(*)
FROM {table};

-- name: find_item
-- One of them.
SELECT 1
WHERE 'a%%' LIKE %(name)s;
"""


def test_it_finds_blocks_by_name():
    queries = parse_queries("items", TWO)
    assert list(queries) == ["count_items", "find_item"]
    count = queries["count_items"].format(table=sql.Identifier("ops", "item"))
    assert count.as_string() == 'SELECT count(*)\nFROM "ops"."item"'


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"'find_items'.*count_items, find_item"):
        parse_queries("items", TWO)["find_items"]


def test_an_unknown_package_names_the_file():
    with pytest.raises(ConfigError, match=r"no_such_package\.sql"):
        load_queries("no_such_package")


def test_a_name_used_twice_is_refused():
    with pytest.raises(ConfigError, match="two queries named 'find_item'"):
        parse_queries("items", TWO + "\n-- name: find_item\n-- Again.\nSELECT 2;\n")


@pytest.mark.parametrize(
    ("block", "message"),
    [("-- name: a\nSELECT 1;\n", "what it is for"), ("-- name: a\n-- Nothing.\n", "is empty")],
)
def test_a_block_needs_a_purpose_and_a_statement(block, message):
    with pytest.raises(ConfigError, match=message):
        parse_queries("items", block)


@pytest.mark.parametrize("package", list_packages())
def test_every_shipped_file_is_well_formed(package):
    assert len(load_queries(package)) > 0


def test_the_sql_may_lie_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("STEADFAST_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="STEADFAST_HOME"):
        sql_directory()
    (tmp_path / "sql").mkdir()
    assert sql_directory() == tmp_path / "sql"
