"""`steadfast source …`: where events come from, their keys, and the n8n nodes that send them."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import typer

from steadfast.cli.durations import read_duration
from steadfast.cli.terminal import (
    AsJson,
    current_actor,
    current_time,
    print_json,
    print_line,
    print_table,
)
from steadfast.cli.warehouse_url import open_warehouse
from steadfast.entities import webhook_keys, webhook_sources
from steadfast.entities.businesses import list_entities
from steadfast.entities.n8n_settings import describe_n8n_settings, source_url
from steadfast.entities.records import WebhookSource
from steadfast.entities.sealing import Sealer, read_sealing_keys
from steadfast.launch.receiver import find_receiver
from steadfast.settings import load_settings

app = typer.Typer(
    no_args_is_help=True, help="Webhook sources: add, list, show, edit, rotate, revoke, disable."
)

Entity = Annotated[str, typer.Argument(help="The entity's short name, such as main-street-bakery.")]
Slug = Annotated[str, typer.Argument(help="The source's short name, such as shop; it is part of the URL.")]
KeyId = Annotated[int, typer.Argument(help="The number that `steadfast source show` lists.")]
Auth = Annotated[Literal["signature", "token"], typer.Option(help="How a request shows who sent it.")]
Zone = Annotated[str | None, typer.Option("--time-zone", help="The zone its days are meant in.")]
Tolerance = Annotated[
    timedelta | None,
    typer.Option(
        parser=read_duration,
        metavar="DURATION",
        help="How old a signed timestamp may be: 300, 15m, 24h, 30d.",
    ),
]
MaxBytes = Annotated[int | None, typer.Option("--max-bytes", help="The largest body.")]
Rate = Annotated[int | None, typer.Option(help="Events a second that may go on for ever.")]
Burst = Annotated[int | None, typer.Option(help="Events at once; at least 20 s of the rate.")]
DedupDays = Annotated[int | None, typer.Option("--dedup-days", help="Days in which an id is remembered.")]
Policy = Annotated[
    Literal["reject", "keep_first", "new_version"] | None,
    typer.Option("--conflict-policy", help="What an id that comes again with another body is answered with."),
]
Strict = Annotated[
    bool | None, typer.Option("--strict/--no-strict", help="Answer 422 to what breaks the contract.")
]
N8nConnection = Annotated[
    str | None, typer.Option("--n8n-connection", help="Airflow Connection of the n8n that sends.")
]
N8nNode = Annotated[str | None, typer.Option("--n8n-node", help="Name of its HTTP Request node.")]
N8nWorkflow = Annotated[str | None, typer.Option("--n8n-workflow", help="Only this workflow of it.")]
Overlap = Annotated[
    timedelta | None,
    typer.Option(
        parser=read_duration, metavar="DURATION", help="How long older keys live on; 24h if not given."
    ),
]


@app.command()
def add(
    entity: Entity,
    slug: Slug,
    name: Annotated[str, typer.Option(help="The name people know.")],
    auth: Auth = "signature",
    time_zone: Zone = None,
    tolerance: Tolerance = None,
    max_bytes: MaxBytes = None,
    rate: Rate = None,
    burst: Burst = None,
    dedup_days: DedupDays = None,
    conflict_policy: Policy = None,
    strict: Strict = None,
    n8n_connection: N8nConnection = None,
    n8n_node: N8nNode = None,
    n8n_workflow: N8nWorkflow = None,
) -> None:
    """Add a source to an entity and print its secret, once, alone on stdout."""
    said: dict[str, Any] = {"actor": current_actor(), "now": current_time()}
    with open_warehouse() as connection, connection.transaction():
        source = webhook_sources.add_source(
            connection,
            entity,
            slug,
            name=name,
            auth=auth,
            time_zone=time_zone,
            tolerance_seconds=_seconds(tolerance),
            max_bytes=max_bytes,
            rate_per_second=rate,
            burst=burst,
            dedup_days=dedup_days,
            conflict_policy=conflict_policy,
            is_strict=strict,
            n8n_connection_id=n8n_connection,
            n8n_node=n8n_node,
            n8n_workflow_id=n8n_workflow,
            **said,
        )
        issued = webhook_keys.issue_key(connection, source, _open_sealer(), **said)
    _print_secret(entity, source, issued, f"Added source {entity}/{slug}.")


@app.command("list")
def list_all(
    entity: Annotated[str | None, typer.Option(help="Only those of this entity.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the sources."""
    with open_warehouse() as connection:
        found = webhook_sources.list_sources(connection, entity)
        slugs = {each.entity_id: each.slug for each in list_entities(connection)}
    if as_json:
        print_json(
            [{"entity": slugs[s.entity_id], "url": _url(slugs[s.entity_id], s), **vars(s)} for s in found]
        )
        return
    rows = [
        (slugs[s.entity_id], s.slug, s.name, s.auth, s.time_zone, s.n8n_connection_id, s.is_enabled)
        for s in found
    ]
    titles = ("entity", "source", "name", "auth", "time zone", "n8n", "enabled")
    print_table(titles, rows, empty="No source. Add one with `steadfast source add ENTITY SLUG --name NAME`.")


@app.command()
def show(entity: Entity, slug: Slug, as_json: AsJson = False) -> None:
    """Show a source, its keys and the n8n settings; never a secret."""
    now = current_time()
    with open_warehouse() as connection:
        source = webhook_sources.show_source(connection, entity, slug)
        keys = webhook_keys.list_keys(connection, entity, slug)
    url = _url(entity, source)
    if as_json:
        states = [{**vars(key), "state": _key_state(key, now)} for key in keys]
        settings = describe_n8n_settings(source, url)
        print_json({"entity": entity, "url": url, "source": source, "keys": states, "n8n_settings": settings})
        return
    print_table(("", ""), [("url", url), *vars(source).items()], empty="")
    print_line("")
    rows = [(k.key_id, _key_state(k, now), k.not_before, k.not_after, k.last_used_at) for k in keys]
    print_table(("key", "state", "from", "until", "last used"), rows, empty="No key.")
    print_line("")
    typer.echo(describe_n8n_settings(source, url), nl=False)


@app.command()
def edit(
    entity: Entity,
    slug: Slug,
    name: Annotated[str | None, typer.Option(help="The new name.")] = None,
    time_zone: Zone = None,
    tolerance: Tolerance = None,
    max_bytes: MaxBytes = None,
    rate: Rate = None,
    burst: Burst = None,
    dedup_days: DedupDays = None,
    conflict_policy: Policy = None,
    strict: Strict = None,
    n8n_connection: N8nConnection = None,
    n8n_node: N8nNode = None,
    n8n_workflow: N8nWorkflow = None,
) -> None:
    """Change a source (an empty --n8n-connection removes the n8n); receivers know within seconds."""
    given: dict[str, Any] = {
        "name": name,
        "time_zone": time_zone,
        "tolerance_seconds": _seconds(tolerance),
        "max_bytes": max_bytes,
        "rate_per_second": rate,
        "burst": burst,
        "dedup_days": dedup_days,
        "conflict_policy": conflict_policy,
        "is_strict": strict,
        "n8n_connection_id": n8n_connection,
        "n8n_node": n8n_node,
        "n8n_workflow_id": n8n_workflow,
    }
    if all(value is None for value in given.values()):
        raise typer.BadParameter("nothing to change; `steadfast source edit --help` lists the options.")
    with open_warehouse() as connection:
        webhook_sources.edit_source(
            connection, entity, slug, **given, actor=current_actor(), now=current_time()
        )
    print_line(f"Changed source {entity}/{slug}.")


@app.command()
def rotate(entity: Entity, slug: Slug, overlap: Overlap = None) -> None:
    """Issue a new secret, valid at once, alone on stdout; older ones live on for the overlap."""
    now = current_time()
    kept_for = webhook_keys.DEFAULT_OVERLAP if overlap is None else overlap
    with open_warehouse() as connection:
        issued = webhook_keys.rotate_key(
            connection,
            entity,
            slug,
            _open_sealer(),
            overlap=kept_for,
            actor=current_actor(),
            now=now,
        )
        source = webhook_sources.show_source(connection, entity, slug)
    _print_secret(
        entity, source, issued, f"Older keys of {entity}/{slug} end by {now + kept_for:%Y-%m-%d %H:%M} UTC."
    )


@app.command()
def revoke(entity: Entity, slug: Slug, key_id: KeyId) -> None:
    """End a key at once, as when its secret was seen by others."""
    now = current_time()
    with open_warehouse() as connection:
        webhook_keys.revoke_key(connection, entity, slug, key_id, actor=current_actor(), now=now)
        keys = webhook_keys.list_keys(connection, entity, slug)
    print_line(f"Key {key_id} of {entity}/{slug} is valid no more.")
    if not any(_key_state(key, now) == "valid" for key in keys):
        print_line(f"No key is left: `steadfast source rotate {entity} {slug}` issues one.", "red")


@app.command()
def disable(entity: Entity, slug: Slug) -> None:
    """Refuse the events of a source; what was received is still processed."""
    with open_warehouse() as connection:
        webhook_sources.disable_source(connection, entity, slug, actor=current_actor(), now=current_time())
    print_line(f"Disabled source {entity}/{slug}.")


@app.command()
def enable(entity: Entity, slug: Slug) -> None:
    """Accept the events of a source again."""
    with open_warehouse() as connection:
        webhook_sources.enable_source(connection, entity, slug, actor=current_actor(), now=current_time())
    print_line(f"Enabled source {entity}/{slug}.")


@app.command()
def reseal() -> None:
    """Seal every secret with the newest key of STEADFAST_SEALING_KEYS; the older ones can go then."""
    with open_warehouse() as connection:
        count = webhook_keys.reseal_keys(
            connection, _open_sealer(), actor=current_actor(), now=current_time()
        )
    print_line(f"Sealed {count} secrets anew." if count else "Every secret is sealed with the newest key.")


def _seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else int(duration.total_seconds())


def _open_sealer() -> Sealer:
    settings = load_settings()
    return Sealer(read_sealing_keys(settings.sealing_keys, settings.state))


def _url(entity: str, source: WebhookSource) -> str:
    settings = load_settings()
    return source_url(settings.webhook_url or find_receiver(settings.state), entity, source.slug)


def _key_state(key: webhook_keys.KeyUse, now: datetime) -> str:
    return "ended" if key.not_after is not None and key.not_after <= now else "valid"


def _print_secret(entity: str, source: WebhookSource, issued: webhook_keys.IssuedKey, done: str) -> None:
    typer.echo(f"{describe_n8n_settings(source, _url(entity, source))}\n{done}", err=True)
    typer.echo(f"The secret of key {issued.key.key_id}, shown once:", err=True)
    typer.echo(issued.secret)
