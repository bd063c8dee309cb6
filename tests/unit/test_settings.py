"""Settings that are wrong stop the start and name the variable."""

import pytest

from steadfast.errors import ConfigError
from steadfast.settings import read_settings


@pytest.mark.parametrize("minutes", ["1", "2", "3", "4", "5"])
def test_webhooks_may_be_processed_every_one_to_five_minutes(minutes):
    settings = read_settings({"STEADFAST_WEBHOOK_INGEST_MINUTES": minutes})
    assert settings.webhook_ingest_minutes == int(minutes)


@pytest.mark.parametrize("minutes", ["0", "6", "60", "-1", "2.5", "five"])
def test_any_other_pace_of_webhooks_is_refused_by_name(minutes):
    with pytest.raises(ConfigError, match=r"STEADFAST_WEBHOOK_INGEST_MINUTES is .* from 1 to 5 is needed"):
        read_settings({"STEADFAST_WEBHOOK_INGEST_MINUTES": minutes})


def test_a_number_without_an_upper_bound_may_be_large():
    assert read_settings({"STEADFAST_PROPERTIES_PER_SHARD": "5000"}).properties_per_shard == 5000
