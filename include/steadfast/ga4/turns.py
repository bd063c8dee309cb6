"""One shard at a time asks GA4 about a property, whatever runs and backfills go on beside it.

GA4 counts concurrent requests per property over everybody, so a limit inside one worker is none. The
turns are advisory locks of the worker's session: they end with it, also when it is killed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from psycopg import Connection

from steadfast.ga4.items import Item
from steadfast.warehouse.queries import load_queries


def take_turns(connection: Connection[Any], items: Sequence[Item]) -> Iterator[list[Item]]:
    """Yield the items whose properties are free, then those of each busy property as its turn comes.

    A turn ends when the next is asked for, and none is held while waiting: two shards cannot deadlock.
    """
    queries = load_queries("ga4")
    wanted = sorted({item.property_id for item in items})
    free = {row[0] for row in connection.execute(queries["try_turns"], {"property_ids": wanted}) if row[1]}
    connection.commit()
    yield [item for item in items if item.property_id in free]
    _end_turns(connection, sorted(free))
    for property_id in (one for one in wanted if one not in free):
        connection.execute(queries["wait_for_turn"], {"property_id": property_id})
        connection.commit()
        yield [item for item in items if item.property_id == property_id]
        _end_turns(connection, [property_id])


def _end_turns(connection: Connection[Any], property_ids: Sequence[int]) -> None:
    connection.execute(load_queries("ga4")["end_turns"], {"property_ids": list(property_ids)})
    connection.commit()
