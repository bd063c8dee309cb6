"""`steadfast migrate`: bring the warehouse to what this version describes."""

from steadfast.cli.terminal import current_time, print_line, show_progress
from steadfast.cli.warehouse_url import owner_url
from steadfast.ga4.reports import REPORTS
from steadfast.launch.databases import role_passwords
from steadfast.settings import load_settings
from steadfast.webhooks.events import EVENT_TABLES


def migrate_warehouse() -> None:
    """Bring the warehouse up to date; safe to repeat, and to run twice at once."""
    # Alembic is slow to import, and no other command needs it.
    from steadfast.warehouse.migrate import migrate

    settings = load_settings()
    with show_progress("Migrating the warehouse"):
        report = migrate(
            owner_url(settings),
            passwords=role_passwords(settings.state, settings),
            reports=[report.table for report in REPORTS.values()],
            events=EVENT_TABLES,
            today=current_time().date(),
        )
    print_line(str(report))
    for room, names in (("facts", report.facts), ("marts", report.marts)):
        for name in names:
            print_line(f"  {room}.{name}")
