"""What our DAGs produce. Downstream DAGs are scheduled on these, one run a partition key.

The address is a name, not a connection: it stays the same wherever the warehouse really runs.
"""

from airflow.sdk import Asset

FACTS_GA4 = Asset(name="facts.ga4", uri="postgres://warehouse:5432/steadfast/facts/ga4")
