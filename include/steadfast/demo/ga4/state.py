"""What an emulator remembers between starts: how far the sample moved, restated days, changed properties."""

import json
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from steadfast.demo.ga4.sample import LAST_DAY


@dataclass(frozen=True)
class Restatement:
    """A past day whose numbers change: this share of its keys changes, that share disappears."""

    property: str
    day: str
    change: float
    drop: float
    serial: int


@dataclass
class State:
    """Everything that survives a restart; with a `path` it is written down at each change."""

    shift_weeks: int
    path: Path | None = None
    restatements: list[Restatement] = field(default_factory=list)
    properties: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def shift(self) -> timedelta:
        """How far the sample's days are moved."""
        return timedelta(weeks=self.shift_weeks)

    def restate(self, property_id: str, day: date, change: float, drop: float) -> Restatement:
        """Remember that a day was restated; each further restatement of it picks other keys."""
        entry = Restatement(property_id, day.isoformat(), change, drop, len(self.restatements))
        self.restatements.append(entry)
        self.save()
        return entry

    def find_restatements(self, property_id: str, day: date) -> list[Restatement]:
        """What was restated of that day, oldest first."""
        text = day.isoformat()
        return [one for one in self.restatements if one.property == property_id and one.day == text]

    def change_property(self, property_id: str, changes: dict[str, str]) -> None:
        """Remember a property's new time zone or currency."""
        self.properties[property_id] = {**self.properties.get(property_id, {}), **changes}
        self.save()

    def save(self) -> None:
        """Write the state down, in one step."""
        if self.path is None:
            return
        content = {
            "shift_weeks": self.shift_weeks,
            "restatements": [asdict(one) for one in self.restatements],
            "properties": self.properties,
        }
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps(content, indent=1))
        draft.replace(self.path)


def open_state(directory: Path | None, now: datetime) -> State:
    """The remembered state, or a new one whose sample ends at or just before yesterday."""
    path = directory / "ga4.json" if directory else None
    if path and path.exists():
        kept = json.loads(path.read_text())
        restated = [Restatement(**one) for one in kept["restatements"]]
        return State(kept["shift_weeks"], path, restated, kept["properties"])
    yesterday = now.date() - timedelta(days=1)
    state = State((yesterday - LAST_DAY).days // 7, path)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
    state.save()
    return state
