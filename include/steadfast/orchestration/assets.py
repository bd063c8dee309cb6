"""What our DAGs produce. Downstream DAGs are scheduled on these, one run a partition key.

The address is a name, not a connection: it stays the same wherever the warehouse really runs.
"""

from airflow.sdk import Asset

FACTS_GA4 = Asset(name="facts.ga4", uri="postgres://warehouse:5432/steadfast/facts/ga4")
FACTS_WEBHOOKS = Asset(name="facts.webhooks", uri="postgres://warehouse:5432/steadfast/facts/webhooks")
"""Events, whose days change for months: a partition key is the UTC day on which they *arrived*.

So a DAG that is scheduled on both assets gets a run a key from either, an ingest run names one key (two at
midnight), and a replay of old events starts one run and not hundreds. `received_at` finds the rows of a key.
A key comes again with every ingest run of its day; Airflow merges those that wait for a free run, so give
such a DAG `max_active_runs=1`. DAGs that are not partitioned see no event that carries a key.
"""
