"""The posting node: every item at once, without batches, and all of them again if one fails (Retry On Fail).

It gives up after at most five tries and twenty seconds of waiting, and does not read Retry-After.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from steadfast.demo.n8n.items import headers_of
from steadfast.demo.n8n.post import Answer, post
from steadfast.demo.n8n.targets import Target


@dataclass
class NodeRun:
    """How the node ended: the answers to its last try, and what was answered in all tries."""

    answers: list[Answer] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    """Event ids that were answered with 2xx at least once."""
    try_count: int = 0

    @property
    def first_failure(self) -> int | None:
        """The place of the item whose answer n8n reports as the node's error."""
        return next((place for place, answer in enumerate(self.answers) if not answer.is_good), None)


async def run_node(target: Target, items: Sequence[dict[str, Any]]) -> NodeRun:
    """Post the items as the node is set up to."""
    run = NodeRun()
    for number in range(target.try_count):
        if number:
            await asyncio.sleep(target.wait_s)
        run.answers = await asyncio.gather(*(_post_item(target, item["json"]) for item in items))
        run.try_count += 1
        run.statuses.update(answer.status for answer in run.answers)
        pairs = zip(items, run.answers, strict=True)
        run.acknowledged |= {item["json"]["id"] for item, answer in pairs if answer.is_good}
        if run.first_failure is None:
            break
    return run


def was_never_sent(target: Target, items: Sequence[dict[str, Any]]) -> NodeRun:
    """A run whose requests never left the machine."""
    refused = Answer(0, f"connect ECONNREFUSED {urlsplit(target.url).netloc}", "ECONNREFUSED")
    return NodeRun([refused] * len(items), try_count=target.try_count)


def read_reply(answer: Answer) -> dict[str, Any]:
    """What the node hands on of a good answer."""
    try:
        found = json.loads(answer.text or "{}")
    except ValueError:
        return {"data": answer.text}
    return found if isinstance(found, dict) else {"data": found}


async def _post_item(target: Target, item: dict[str, str]) -> Answer:
    return await post(target.url, headers_of(target, item), item["body"].encode(), target.timeout_s)
