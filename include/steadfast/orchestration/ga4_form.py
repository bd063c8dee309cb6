"""The form of a `ga4_sync` run by hand. To add a field, add a Param here and read it in windows.py."""

from airflow.sdk import Param

from steadfast.ga4.reports import REPORTS

FORM: dict[str, Param] = {
    "entity": Param(
        None,
        type=["null", "string"],
        title="Business entity",
        description="Its short name, as `steadfast entity list` shows it. Empty: every enabled entity.",
        pattern="^[a-z0-9][a-z0-9-]{0,62}$",
    ),
    "start_date": Param(
        None,
        type=["null", "string"],
        format="date",
        title="First day",
        description="Empty: the days that GA4 may still restate, and whatever is missing.",
    ),
    "end_date": Param(
        None,
        type=["null", "string"],
        format="date",
        title="Last day",
        description="Empty: the newest day that is over in the property's own time zone.",
    ),
    "reports": Param(
        None,
        type=["null", "array"],
        items={"type": "string", "enum": list(REPORTS)},
        examples=list(REPORTS),
        title="Reports",
        description="Empty: the reports that the entity has switched on.",
    ),
}
