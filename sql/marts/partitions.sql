-- Every partition that was ever fetched: one property, report and period, with its state. The other views join it.
CREATE VIEW marts.partitions WITH (security_invoker = true, security_barrier = true) AS
SELECT
    ledger.entity_id,
    entity.slug AS entity,
    ledger.property_id,
    ledger.report,
    ledger.report_date AS period_start,
    ledger.row_count,
    coalesce(ledger.time_zone, property.time_zone) AS time_zone,
    coalesce(ledger.currency, property.currency) AS currency,
    ledger.flags,
    newest.as_of,
    ledger.is_provisional,
    CASE WHEN ledger.published_at IS NOT NULL THEN ledger.fetched_at END AS last_synced_at,
    ledger.published_at IS NOT NULL AS is_published,
    ledger.held_at IS NOT NULL AS is_held,
    ledger.held_at,
    ledger.held_reason
FROM ops.partition_ledger AS ledger
JOIN config.business_entity AS entity ON entity.entity_id = ledger.entity_id
JOIN config.ga4_property AS property ON property.property_id = ledger.property_id
LEFT JOIN (
    SELECT
        entity_id,
        report,
        max(report_date) AS as_of
    FROM ops.partition_ledger
    WHERE published_at IS NOT NULL
    GROUP BY entity_id, report
) AS newest ON newest.entity_id = ledger.entity_id AND newest.report = ledger.report;
