"""`steadfast setting …`: how each entity is synced."""

from datetime import datetime
from typing import Annotated

import typer

from steadfast.cli.entity import Slug
from steadfast.cli.terminal import AsJson, current_actor, current_time, print_json, print_table
from steadfast.cli.warehouse_url import open_warehouse
from steadfast.entities import sync_settings
from steadfast.entities.records import SyncSetting
from steadfast.ga4.reports import DEFAULT_REPORTS, REPORTS

app = typer.Typer(no_args_is_help=True, help="Sync settings of an entity: show, edit.")

DEFAULT = "default"


@app.command()
def show(slug: Slug, as_json: AsJson = False) -> None:
    """Show how an entity is synced."""
    with open_warehouse() as connection:
        setting = sync_settings.show_setting(connection, slug)
    if as_json:
        print_json(setting)
    else:
        _print_setting(setting)


@app.command()
def edit(
    slug: Slug,
    is_enabled: Annotated[bool | None, typer.Option("--enabled/--disabled", help="Sync it at all.")] = None,
    reports: Annotated[
        str | None, typer.Option(help=f"Names with commas between, or '{DEFAULT}': {', '.join(REPORTS)}.")
    ] = None,
    window_days: Annotated[int | None, typer.Option(help="Days read again each day, 1 to 90.")] = None,
    token_budget: Annotated[
        int | None, typer.Option(help="GA4 tokens a property may spend on backfill in one run.")
    ] = None,
    backfill_start: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The oldest day to fetch.")
    ] = None,
) -> None:
    """Change how an entity is synced; it holds from the next run on."""
    given = (is_enabled, reports, window_days, token_budget, backfill_start)
    if all(value is None for value in given):
        raise typer.BadParameter("nothing to change; `steadfast setting edit --help` lists the options.")
    with open_warehouse() as connection:
        setting = sync_settings.edit_setting(
            connection,
            slug,
            known_reports=tuple(REPORTS),
            is_enabled=is_enabled,
            reports=None if reports is None else split_reports(reports),
            window_days=window_days,
            token_budget=token_budget,
            backfill_start_on=None if backfill_start is None else backfill_start.date(),
            actor=current_actor(),
            now=current_time(),
        )
    _print_setting(setting)


def split_reports(text: str) -> tuple[str, ...]:
    """Read names with commas between; none for the default ones."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise typer.BadParameter(f"no report named; give names or '{DEFAULT}'.", param_hint="--reports")
    return () if names == (DEFAULT,) else names


def _print_setting(setting: SyncSetting) -> None:
    reports = setting.reports or DEFAULT_REPORTS
    rows = [
        ("enabled", setting.is_enabled),
        ("reports", f"{', '.join(reports)}{'' if setting.reports else ' (the defaults)'}"),
        ("window", f"{setting.window_days} days"),
        ("token budget", f"{setting.token_budget} tokens of backfill a property and run"),
        ("backfill start", setting.backfill_start_on),
    ]
    print_table(("setting", "value"), rows, empty="")
