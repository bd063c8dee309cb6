"""How far a sync run has come, read from its items: the facts that alarms about a run are written from."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries


@dataclass(frozen=True)
class Gap:
    """Reports of one property that a run has not published, for one reason."""

    property_id: int
    display_name: str
    entity: str
    state: str
    reason: str
    reports: tuple[str, ...]
    start_on: date
    end_on: date
    not_before: datetime | None = None


@dataclass(frozen=True)
class RunState:
    """A planned sync run."""

    run_id: int
    partition_on: date | None
    started_at: datetime
    finished_at: datetime | None
    property_count: int
    published_property_count: int
    gaps: tuple[Gap, ...] = ()

    def properties_in(self, *states: str) -> set[int]:
        """The properties with a gap in one of `states`; all gaps if none is named."""
        return {gap.property_id for gap in self.gaps if not states or gap.state in states}


def read_run_state(connection: Connection, dag_id: str, airflow_run_id: str) -> RunState | None:
    """The state of an Airflow run; None if it was never planned."""
    queries = load_queries("alerts")
    bound: dict[str, Any] = {"dag_id": dag_id, "airflow_run_id": airflow_run_id}
    with (
        translate_errors(),
        connection.transaction(),
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        run = cursor.execute(queries["read_run"], bound).fetchone()
        if run is None:
            return None
        rows = cursor.execute(queries["list_gaps"], {"run_id": run["run_id"]}).fetchall()
    return RunState(**run, gaps=tuple(Gap(**{**row, "reports": tuple(row["reports"])}) for row in rows))
