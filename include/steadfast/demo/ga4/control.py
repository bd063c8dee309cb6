"""The control endpoint: what a test or the demo changes in the emulated world, and what it may look at.

GET /properties, /requests, /quota/ID, /rows/ID?dimensions=&metrics=&start=&end=
POST /faults, /restate, /property/ID · DELETE /faults
A wrong request is answered with 400 and a sentence; a new address is a case in `_look` or `_change`.
"""

import json
from dataclasses import asdict, fields
from datetime import date
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from google.protobuf.json_format import MessageToDict

from steadfast.demo.ga4.faults import Fault
from steadfast.demo.ga4.service import Service
from steadfast.demo.ga4.state import State
from steadfast.demo.web import JsonHandler

_FAULT_FIELDS = frozenset(field.name for field in fields(Fault))
_PROPERTY_FIELDS = frozenset({"time_zone", "currency"})


class ControlHandler(JsonHandler):
    """One control connection; `service` and `state` are set by `start_http`."""

    service: Service
    state: State

    def do_GET(self) -> None:  # noqa: N802 - the name the server calls
        """Look at the world."""
        self._answer(lambda: self._look(urlsplit(self.path).path.strip("/").split("/")))

    def do_POST(self) -> None:  # noqa: N802 - the name the server calls
        """Change the world."""
        body = self.read_body()
        self._answer(
            lambda: self._change(urlsplit(self.path).path.strip("/").split("/"), json.loads(body or b"{}"))
        )

    def do_DELETE(self) -> None:  # noqa: N802 - the name the server calls
        """End all faults."""
        self._answer(lambda: self._clear(urlsplit(self.path).path))

    def _answer(self, build: Any) -> None:
        try:
            self.send_text(HTTPStatus.OK, json.dumps(build()))
        except (ValueError, KeyError, TypeError) as error:
            self.send_text(HTTPStatus.BAD_REQUEST, json.dumps({"error": str(error)}))

    def _look(self, path: list[str]) -> Any:
        match path:
            case ["properties"]:
                return [asdict(one) for one in self.service.world.list_properties()]
            case ["requests"]:
                return [{**asdict(one), "at": one.at.isoformat()} for one in list(self.service.requests)]
            case ["quota", property_id]:
                quota = self.service.quota.describe(property_id)
                return MessageToDict(quota, always_print_fields_with_no_presence=True)
            case ["rows", property_id]:
                return self._read_rows(property_id)
        raise _reject_path(path)

    def _read_rows(self, property_id: str) -> Any:
        asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        names, numbers = (
            [one for one in asked.get(key, "").split(",") if one] for key in ("dimensions", "metrics")
        )
        start, end = date.fromisoformat(asked["start"]), date.fromisoformat(asked["end"])
        return self.service.world.rows(property_id, names, numbers, start, end)

    def _change(self, path: list[str], body: dict[str, Any]) -> Any:
        match path:
            case ["faults"]:
                _check_keys(body, _FAULT_FIELDS)
                self.service.faults.add(Fault(**body))
                return {"added": body}
            case ["restate"]:
                day = date.fromisoformat(body["date"])
                shares = body.get("change", 0.10), body.get("drop", 0.05)
                return asdict(self.state.restate(str(body["property"]), day, *shares))
            case ["property", property_id]:
                _check_keys(body, _PROPERTY_FIELDS)
                self.service.world.describe(property_id)
                ZoneInfo(body.get("time_zone", "UTC"))
                self.state.change_property(property_id, body)
                return asdict(self.service.world.describe(property_id))
        raise _reject_path(path)

    def _clear(self, path: str) -> Any:
        if path != "/faults":
            raise _reject_path([path])
        self.service.faults.clear()
        self.service.quota.reset()
        return {"faults": []}


def _check_keys(body: dict[str, Any], known: frozenset[str]) -> None:
    if unknown := sorted(set(body) - known):
        raise ValueError(f"unknown keys {', '.join(unknown)}; valid are {', '.join(sorted(known))}")


def _reject_path(path: list[str]) -> ValueError:
    return ValueError(f"no such control address: /{'/'.join(path)}")
