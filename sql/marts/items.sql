-- needs: partitions
-- Shop items seen, put into carts and bought.
CREATE VIEW marts.items WITH (security_invoker = true, security_barrier = true) AS
SELECT
    fact.entity_id,
    partition.entity,
    fact.property_id,
    fact.report_date AS day,
    fact.item_id,
    fact.item_name,
    fact.item_brand AS brand,
    fact.item_category AS category,
    fact.items_viewed,
    fact.items_added_to_cart,
    fact.items_purchased,
    fact.item_revenue,
    partition.currency,
    partition.as_of,
    partition.is_provisional,
    partition.last_synced_at,
    partition.is_held,
    partition.held_reason
FROM facts.fact_items AS fact
JOIN marts.partitions AS partition
    ON partition.property_id = fact.property_id
    AND partition.period_start = fact.report_date
WHERE partition.report = 'items'
    AND partition.is_published;
