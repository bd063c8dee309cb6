"""What a webhook source may look like, and the sentence that answers what it may not."""

import pytest

from steadfast.entities.source_checks import check_source, fill_in, follow_window
from steadfast.errors import ConfigError

SHOP = {"name": "Shop", "auth": "signature", "time_zone": "Europe/Berlin"}
WITH_N8N = {"n8n_connection_id": "shop_n8n", "n8n_node": "Send"}


def test_a_new_source_gets_the_defaults():
    values = check_source(fill_in(SHOP))
    assert (values["tolerance_seconds"], values["dedup_days"]) == (300, 30)
    assert (values["rate_per_second"], values["burst"], values["max_bytes"]) == (100, 2000, 262144)
    assert (values["conflict_policy"], values["is_strict"]) == ("reject", False)


def test_a_source_with_an_n8n_tolerates_what_it_remembers():
    assert fill_in(SHOP | WITH_N8N)["tolerance_seconds"] == 30 * 86400
    assert fill_in(SHOP | WITH_N8N | {"dedup_days": 7})["tolerance_seconds"] == 7 * 86400
    assert fill_in(SHOP | WITH_N8N | {"tolerance_seconds": 60})["tolerance_seconds"] == 60


def test_a_high_rate_brings_a_burst_that_is_large_enough():
    assert check_source(fill_in(SHOP | {"rate_per_second": 500}))["burst"] == 10_000


def test_a_tolerance_of_the_whole_window_follows_the_window():
    before = {"tolerance_seconds": 30 * 86400, "dedup_days": 30}
    assert follow_window(before, {"dedup_days": 7})["tolerance_seconds"] == 7 * 86400
    assert follow_window(before, {"dedup_days": 7, "tolerance_seconds": 9})["tolerance_seconds"] == 9
    assert "tolerance_seconds" not in follow_window(before | {"tolerance_seconds": 300}, {"dedup_days": 7})


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"name": " "}, "Name ' ' is not valid"),
        ({"auth": "tokn"}, "Auth 'tokn' is not valid; did you mean token. Valid are signature, token"),
        ({"conflict_policy": "merge"}, "Conflict policy 'merge'.*reject, keep_first, new_version"),
        ({"time_zone": "Mars/Base"}, "Time zone 'Mars/Base' is not known"),
        ({"tolerance_seconds": 0}, "Tolerance 0 is not valid: 1 to 2592000 seconds"),
        ({"tolerance_seconds": 86401, "dedup_days": 1}, "Tolerance 86401 is not valid: 1 to 86400 seconds"),
        ({"max_bytes": 1023}, "Largest body 1023 is not valid: 1024 to 8388608 bytes"),
        ({"max_bytes": 8388609}, "1024 to 8388608 bytes"),
        ({"max_bytes": 1048577, "is_strict": True}, "1024 to 1048576 bytes of a strict source"),
        ({"rate_per_second": 0}, "Rate 0 is not valid: 1 to 10000"),
        ({"rate_per_second": 10_001}, "Rate 10001 is not valid"),
        ({"burst": 1999}, "Burst 1999 is not valid: 2000 to 1000000 events; the least is 20 s of the rate"),
        ({"burst": 2**31}, "Burst 2147483648 is not valid"),
        ({"dedup_days": 0}, "Dedup window 0 is not valid: 1 to 365 days"),
        ({"dedup_days": 366}, "Dedup window 366 is not valid"),
        ({"n8n_node": "Send"}, "n8n node 'Send' is of no n8n"),
        ({"n8n_workflow_id": "abc"}, "n8n node 'abc' is of no n8n"),
        ({"n8n_connection_id": "shop_n8n"}, "shop_n8n needs the name of the HTTP Request node"),
        (WITH_N8N | {"n8n_connection_id": "a b"}, "Connection 'a b' is not valid"),
        (WITH_N8N | {"n8n_node": "Send\n"}, "n8n node .* is not valid"),
        (WITH_N8N | {"n8n_workflow_id": "../x"}, "n8n workflow '../x' is not valid"),
    ],
)
def test_what_is_not_valid_is_answered_with_what_would_be(wrong, complaint):
    with pytest.raises(ConfigError, match=complaint):
        check_source(fill_in(SHOP | wrong))


def test_an_empty_connection_takes_the_n8n_away():
    values = check_source(fill_in(SHOP | WITH_N8N | {"n8n_workflow_id": "7", "n8n_connection_id": ""}))
    assert values["n8n_connection_id"] is values["n8n_node"] is values["n8n_workflow_id"] is None
