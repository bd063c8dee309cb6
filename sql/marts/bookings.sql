-- needs: source_channels, event_freshness, held_events
-- Bookings by the day they were made and by where they came from.
CREATE VIEW marts.bookings WITH (security_invoker = true, security_barrier = true) AS
WITH named AS (
    SELECT
        booking.entity_id,
        entity.slug AS entity,
        booking.event_on AS day,
        coalesce(nullif(lower(btrim(booking.traffic_source)), ''), '(not set)') AS source,
        coalesce(nullif(lower(btrim(booking.traffic_medium)), ''), '(not set)') AS medium,
        coalesce(nullif(lower(btrim(booking.campaign)), ''), '(not set)') AS campaign,
        booking.currency,
        booking.status,
        booking.party_size,
        booking.amount,
        booking.received_at
    FROM facts.fact_booking AS booking
    JOIN config.business_entity AS entity ON entity.entity_id = booking.entity_id
),

daily AS (
    SELECT
        booking.entity_id,
        booking.entity,
        booking.day,
        CASE WHEN booking.source = '(not set)' THEN 'Unattributed' ELSE coalesce(known.channel, 'Other') END
            AS channel,
        booking.source,
        booking.medium,
        booking.campaign,
        booking.currency,
        count(*) FILTER (WHERE booking.status <> 'cancelled') AS booking_count,
        count(*) FILTER (WHERE booking.status = 'requested') AS requested_count,
        count(*) FILTER (WHERE booking.status = 'confirmed') AS confirmed_count,
        count(*) FILTER (WHERE booking.status = 'completed') AS completed_count,
        count(*) FILTER (WHERE booking.status = 'no_show') AS no_show_count,
        count(*) FILTER (WHERE booking.status = 'cancelled') AS cancelled_count,
        coalesce(sum(booking.party_size) FILTER (WHERE booking.status <> 'cancelled'), 0)::numeric(38, 0)
            AS guest_count,
        CASE WHEN booking.currency IS NOT NULL THEN
            coalesce(sum(booking.amount) FILTER (WHERE booking.status <> 'cancelled'), 0)
        END::numeric(38, 6) AS booked_amount,
        max(booking.received_at) AS last_synced_at
    FROM named AS booking
    LEFT JOIN marts.source_channels AS known
        ON known.entity_id = booking.entity_id
        AND known.source = booking.source
        AND known.medium = booking.medium
    GROUP BY
        booking.entity_id,
        booking.entity,
        booking.day,
        booking.source,
        booking.medium,
        booking.campaign,
        booking.currency,
        known.channel
)

SELECT
    daily.entity_id,
    daily.entity,
    daily.day,
    daily.channel,
    daily.source,
    daily.medium,
    daily.campaign,
    daily.currency,
    daily.booking_count,
    daily.requested_count,
    daily.confirmed_count,
    daily.completed_count,
    daily.no_show_count,
    daily.cancelled_count,
    daily.guest_count,
    daily.booked_amount,
    daily.cancelled_count::double precision / nullif(daily.booking_count + daily.cancelled_count, 0)
        AS cancellation_rate,
    daily.no_show_count::double precision / nullif(daily.completed_count + daily.no_show_count, 0)
        AS no_show_rate,
    fresh.as_of,
    coalesce(daily.day >= fresh.provisional_from, false) AS is_provisional,
    daily.last_synced_at,
    held.day IS NOT NULL AS is_held,
    held.held_reason
FROM daily
LEFT JOIN marts.event_freshness AS fresh
    ON fresh.entity_id = daily.entity_id
    AND fresh.event_type = 'booking'
LEFT JOIN marts.held_events AS held
    ON held.entity_id = daily.entity_id
    AND held.event_type = 'booking'
    AND held.day = daily.day;
