-- The entities and their GA4 properties: names, zones and currencies for labels and filters.
CREATE VIEW marts.properties WITH (security_invoker = true, security_barrier = true) AS
SELECT
    entity.entity_id,
    entity.slug AS entity,
    entity.name AS entity_name,
    entity.country,
    property.property_id,
    property.display_name AS property_name,
    property.time_zone,
    property.currency,
    property.is_enabled
FROM config.business_entity AS entity
JOIN config.ga4_property AS property ON property.entity_id = entity.entity_id;
