"""The command line: one file a subject. To add one, write `cli/<subject>.py` and register it below.

Exit codes: 0, 1 (it failed: one red line on stderr says why), 2 (asked wrongly), 130 (Ctrl-C).
"""

from typing import Any

import typer
from typer.core import TyperGroup

from steadfast.cli import demo, doctor, entity, ga4_property, migrate, receive, setting, source, sync, webhook
from steadfast.cli.terminal import print_error
from steadfast.errors import SteadfastError


class SteadfastGroup(TyperGroup):
    """Turns our own errors into one line, whichever command they come from."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; exit 1 after one of our errors."""
        try:
            return super().invoke(ctx)
        except SteadfastError as error:
            print_error(str(error))
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=SteadfastGroup,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Keep the data of many businesses fresh: entities, their GA4 properties, their warehouse.",
)
app.add_typer(entity.app, name="entity")
app.add_typer(ga4_property.app, name="property")
app.add_typer(setting.app, name="setting")
app.add_typer(source.app, name="source")
app.add_typer(sync.app, name="sync")
app.add_typer(webhook.app, name="webhook")
demo.register(app)
app.command("receive")(receive.run_receiver)
app.command("migrate")(migrate.migrate_warehouse)
app.command("doctor")(doctor.examine_installation)


def main() -> None:
    """Run the command line."""
    app()
