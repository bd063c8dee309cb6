"""Whose the events of an execution are, and whether the receiver would have let them in. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from steadfast.webhooks.envelope import IncomingEvent
from steadfast.webhooks.n8n.unsent import UnsentItem, find_unsent
from steadfast.webhooks.receiving.single import read_judged
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import Source


@dataclass(frozen=True)
class N8nSource:
    """A source and the node that posts its events."""

    source: Source
    connection_id: str
    workflow_id: str | None
    node: str

    @property
    def name(self) -> str:
        """ENTITY/SOURCE."""
        return f"{self.source.entity}/{self.source.slug}"


@dataclass(frozen=True)
class Found:
    """The events of an execution, and a sentence for each thing in it that cannot be read."""

    events: tuple[IncomingEvent, ...] = ()
    problems: tuple[str, ...] = ()


def find_events(shown: Mapping[str, Any], ours: Sequence[N8nSource], now: datetime) -> Found:
    """What an execution failed to deliver to the sources that it may belong to."""
    found = [(one, find_unsent(shown, one.node, f"/v1/in/{one.name}")) for one in ours]
    claims = Counter(unsent.items for _, unsent in found if unsent.items)
    events: list[IncomingEvent] = []
    problems: list[str] = []
    for one, unsent in found:
        if claims[unsent.items] > 1:
            # Whose they are cannot be told, and one entity's events must not become another's.
            problems.append(f"{one.name}: another source names the same node; set --n8n-workflow")
            continue
        problems += [f"{one.name}: {problem}" for problem in unsent.problems]
        for item in unsent.items:
            try:
                events.append(_read_item(one.source, item, now))
            except Refused as refused:
                problems.append(f"{one.name}: {refused.detail}")
    return Found(tuple(events), tuple(problems))


def _read_item(source: Source, item: UnsentItem, now: datetime) -> IncomingEvent:
    """What the receiver would not have taken is Refused here too."""
    if len(item.body) > source.max_bytes:
        raise Refused("too_large")
    return read_judged(source, item.event_id, item.body, now.timestamp())
