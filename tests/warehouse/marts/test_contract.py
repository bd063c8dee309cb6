"""docs/data-contract.md and the catalogue say the same, both ways."""

import re

from steadfast.ga4.reports import REPORTS, Grain
from steadfast.warehouse.locations import sql_directory

CONTRACT = sql_directory().parent / "docs" / "data-contract.md"

COLUMNS = """
    SELECT class.relname, attribute.attname, format_type(attribute.atttypid, attribute.atttypmod)
    FROM pg_class AS class
    JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
    WHERE class.relnamespace = 'marts'::regnamespace AND attribute.attnum > 0
    ORDER BY class.relname, attribute.attnum
"""


def read_contract() -> dict[str, list[list[str]]]:
    """Cells of each documented column, by view."""
    views: dict[str, list[list[str]]] = {}
    for section in CONTRACT.read_text("utf-8").split("\n## marts.")[1:]:
        name, _, text = section.partition("\n")
        lines = re.findall(r"^\| (.+) \|$", text, re.MULTILINE)
        views[name] = [line.split(" | ") for line in lines[1:]]
    return views


def test_it_names_every_column_of_every_view_with_its_type_in_order(database):
    with database.connect() as owner:
        catalogue: dict[str, list[tuple[str, str]]] = {}
        for view, column, kind in owner.execute(COLUMNS):
            catalogue.setdefault(view, []).append((column, kind))
    documented = {view: [(row[0], row[1]) for row in rows] for view, rows in read_contract().items()}
    assert documented == catalogue


def test_it_gives_each_column_a_unit_a_rule_for_sums_and_a_meaning():
    for view, rows in read_contract().items():
        for row in rows:
            assert len(row) == 5 and all(cell.strip() for cell in row), f"{view}: {row}"


def test_it_never_calls_users_or_ratios_additive():
    for view, rows in read_contract().items():
        for column, kind, unit, additive, _ in rows:
            if re.match(r"(active|total)_users", column) or unit.startswith("ratio"):
                assert additive == "no", f"{view}.{column} {kind}"


def test_every_view_runs_with_the_rights_of_its_reader(database):
    with database.connect() as owner:
        options = owner.execute(
            "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'marts'::regnamespace"
        ).fetchall()
    assert {name for name, _ in options} == set(read_contract())
    for name, given in options:
        assert given == ["security_invoker=true", "security_barrier=true"], name


def test_every_view_tells_the_entity_and_how_current_a_row_is():
    for view, rows in read_contract().items():
        columns = {row[0] for row in rows}
        assert {"entity_id", "entity"} <= columns, view
        if view != "properties":
            assert {"as_of", "is_provisional", "last_synced_at", "is_held", "held_reason"} <= columns, view


def test_data_freshness_knows_the_reports_whose_periods_are_longer_than_a_day():
    text = (sql_directory() / "marts" / "data_freshness.sql").read_text("utf-8")
    longer = {report.name for report in REPORTS.values() if report.grain is not Grain.DAY}
    assert set(re.findall(r"report = '(\w+)'", text)) == longer


def test_every_report_is_read_by_a_mart():
    texts = "".join(path.read_text("utf-8") for path in (sql_directory() / "marts").glob("*.sql"))
    for report in REPORTS.values():
        assert f"facts.{report.table.name} " in texts, report.name
