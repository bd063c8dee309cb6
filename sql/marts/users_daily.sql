-- needs: daily_totals
-- Users of each property as GA4 counts them over one day.
CREATE VIEW marts.users_daily WITH (security_invoker = true, security_barrier = true) AS
SELECT
    entity_id,
    entity,
    property_id,
    day,
    active_users,
    total_users,
    new_users,
    sessions,
    as_of,
    is_provisional,
    last_synced_at,
    is_held,
    held_reason
FROM marts.daily_totals;
