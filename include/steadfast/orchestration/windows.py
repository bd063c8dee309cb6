"""What an Airflow run asks of the core: which kind of run, which day, which sources."""

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from steadfast.errors import ConfigError

if TYPE_CHECKING:
    from steadfast.ga4.plan import RunRequest


class DagRun(Protocol):
    """The part of Airflow's dag_run that we read."""

    dag_id: str
    run_id: str
    run_type: Any
    run_after: datetime
    partition_key: str | None


def run_request(dag_run: DagRun, params: dict[str, Any]) -> "RunRequest":
    """Build the request of a run; ConfigError if its partition key or its form cannot be understood."""
    from steadfast.ga4.plan import RunRequest

    kind = run_kind(dag_run)
    start_on, end_on = _asked_range(dag_run, params)
    entity = str(params.get("entity") or "").strip()
    return RunRequest(
        dag_id=dag_run.dag_id,
        airflow_run_id=dag_run.run_id,
        kind=kind,
        partition_on=partition_on(dag_run, end_on),
        start_on=start_on,
        end_on=end_on,
        entities=(entity,) if entity else (),
        reports=tuple(params.get("reports") or ()),
    )


def run_kind(dag_run: DagRun) -> Any:
    """`scheduled` and `backfill` are Airflow's own words; whatever else starts a run is somebody's wish."""
    kind = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    return kind if kind in ("scheduled", "backfill") else "manual"


def partition_on(dag_run: DagRun, end_on: date | None = None) -> date:
    """The day a run stands for: its partition key, else the last day asked for, else the day before it."""
    return _parse_key(dag_run.partition_key) or end_on or dag_run.run_after.date() - timedelta(days=1)


def _asked_range(dag_run: DagRun, params: dict[str, Any]) -> tuple[date | None, date | None]:
    start_on, end_on = _parse_day(params, "start_date"), _parse_day(params, "end_date")
    key = _parse_key(dag_run.partition_key)
    if start_on is None and end_on is None:
        return (key, key) if run_kind(dag_run) == "manual" else (None, None)
    today = dag_run.run_after.date()
    start_on, end_on = start_on or end_on, end_on or today
    if start_on is None or not start_on <= end_on:
        raise ConfigError(f"The start date {start_on} lies after the end date {end_on}; swap them.")
    if start_on > today:
        raise ConfigError(f"The start date {start_on} lies in the future; GA4 knows days up to {today}.")
    return start_on, end_on


def _parse_key(key: str | None) -> date | None:
    if not key:
        return None
    try:
        return date.fromisoformat(key)
    except ValueError as error:
        raise ConfigError(f"The partition key {key!r} is not a day; it must look like 2026-11-22.") from error


def _parse_day(params: dict[str, Any], name: str) -> date | None:
    text = params.get(name)
    if not text:
        return None
    try:
        return date.fromisoformat(str(text))
    except ValueError as error:
        raise ConfigError(f"The form's {name} is {text!r}; it must look like 2026-11-22.") from error
