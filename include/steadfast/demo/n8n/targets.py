"""Where the workflows post: one target a workflow, read from a JSON list whose keys are the fields below."""

import json
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from steadfast.demo.n8n.events import KINDS
from steadfast.errors import ConfigError

MOST_TRIES = 5
LONGEST_WAIT_MS = 5000
EVERYTHING = {
    "lead": 30.0,
    "order": 30.0,
    "refund": 4.0,
    "subscription_change": 6.0,
    "booking": 12.0,
    "support_ticket": 10.0,
    "campaign_spend": 4.0,
    "custom": 4.0,
}


@dataclass(frozen=True)
class Target:
    """One workflow: what it makes and where its HTTP Request node posts it."""

    name: str
    """ENTITY/SOURCE, as in the address."""
    url: str
    auth: str
    secret: str = field(repr=False)
    """`whsec_…` for signatures, the bearer token else."""
    workflow_id: str
    mix: dict[str, float] = field(default_factory=lambda: dict(EVERYTHING), hash=False)
    """Kind of event -> weight."""
    per_minute: float = 20.0
    node: str = "Steadfast"
    tries: int = 3
    """Retry On Fail; 1 is off."""
    wait_ms: int = 1000
    timeout_s: float = 300.0
    saves_progress: bool = True
    """Save execution progress, as the documents ask for; n8n itself has it off."""
    waits: bool = False
    """Whether a Wait node stands before the events are made; it waits until it is told to go on."""
    seed: int = 0
    time_zone: str = "America/New_York"
    currency: str = "USD"
    mistakes: float = 0.0
    """Share of the amounts of money whose currency is not written as the contract wants it."""

    def __post_init__(self) -> None:
        """ConfigError if n8n could not be set up like this."""
        if self.auth not in ("signature", "token"):
            raise ConfigError(f"Target {self.name} has auth {self.auth!r}; signature or token is needed.")
        if unknown := sorted(set(self.mix) - set(KINDS)):
            raise ConfigError(f"Target {self.name} mixes {', '.join(unknown)}; known are {', '.join(KINDS)}.")
        if not any(weight > 0 for weight in self.mix.values()):
            raise ConfigError(f"Target {self.name} mixes nothing.")

    @property
    def try_count(self) -> int:
        """How often the node runs at most: n8n caps what was set."""
        return max(1, min(MOST_TRIES, self.tries))

    @property
    def wait_s(self) -> float:
        """Seconds between two tries: fixed, and capped too."""
        return min(LONGEST_WAIT_MS, self.wait_ms) / 1000


def read_targets(path: Path) -> list[Target]:
    """The targets in a file; ConfigError names what is wrong."""
    try:
        rows = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"The targets in {path} cannot be read: {type(error).__name__}.") from error
    if not isinstance(rows, list):
        raise ConfigError(f"{path} must hold a JSON list of targets.")
    return [_read_target(row) for row in rows]


def _read_target(row: dict[str, Any]) -> Target:
    known = {one.name for one in fields(Target)}
    needed = {one.name for one in fields(Target) if one.default is MISSING and one.default_factory is MISSING}
    unknown, missing = sorted(set(row) - known), sorted(needed - set(row))
    if unknown or missing:
        raise ConfigError(
            f"Target {row.get('name')!r}: unknown {', '.join(unknown) or 'nothing'}, "
            f"missing {', '.join(missing) or 'nothing'}; valid are {', '.join(sorted(known))}."
        )
    return Target(**row)
