"""One shard at a time asks GA4 about a property, whatever runs and backfills go on beside it.

GA4 counts concurrent requests per property over everybody, so a limit inside one worker is none. The
turns are advisory locks of the worker's session: they end with it, also when it is killed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from psycopg import Connection

from steadfast.warehouse.queries import load_queries


def take_turns(connection: Connection[Any], property_ids: Sequence[int]) -> Iterator[list[int]]:
    """Yield the properties that are free, then each busy one as its turn comes.

    A turn ends when the next is asked for, and none is held while waiting: two shards cannot deadlock.
    """
    queries = load_queries("ga4")
    tried = connection.execute(queries["try_turns"], {"property_ids": list(property_ids)})
    free = [property_id for property_id, is_free in tried if is_free]
    connection.commit()
    yield free
    _end_turns(connection, free)
    for property_id in sorted(set(property_ids) - set(free)):
        connection.execute(queries["wait_for_turn"], {"property_id": property_id})
        connection.commit()
        yield [property_id]
        _end_turns(connection, [property_id])


def _end_turns(connection: Connection[Any], property_ids: Sequence[int]) -> None:
    connection.execute(load_queries("ga4")["end_turns"], {"property_ids": list(property_ids)})
    connection.commit()
