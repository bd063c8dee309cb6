"""A bucket lets through what n8n sends at once, and no more than its rate for long."""

from steadfast.webhooks.receiving.rate import full_bucket


def test_a_burst_passes_whole_and_the_next_event_waits():
    bucket = full_bucket(10, 200, 0.0)
    assert bucket.take(200, 0.0) == 0
    assert bucket.take(1, 0.0) == 1


def test_it_says_in_whole_seconds_when_there_is_enough_again():
    bucket = full_bucket(10, 200, 0.0)
    bucket.take(200, 0.0)
    assert bucket.take(25, 0.0) == 3
    assert bucket.take(25, 2.4) == 1
    assert bucket.take(25, 2.5) == 0


def test_it_never_holds_more_than_its_burst():
    bucket = full_bucket(10, 200, 0.0)
    assert bucket.take(200, 1_000.0) == 0
    assert bucket.take(1, 1_000.0) > 0


def test_a_batch_larger_than_the_bucket_passes_when_it_is_full_and_is_owed():
    bucket = full_bucket(10, 200, 0.0)
    assert bucket.take(300, 0.0) == 0
    assert bucket.take(1, 0.0) == 11


def test_what_is_refused_takes_nothing():
    bucket = full_bucket(10, 200, 0.0)
    bucket.take(195, 0.0)
    assert all(bucket.take(10, 0.0) for _ in range(100))
    assert bucket.take(5, 0.0) == 0
