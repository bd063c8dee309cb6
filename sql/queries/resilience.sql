-- name: read_breaker
-- The state of one breaker, locked until the transaction ends.
SELECT state, failure_count, first_failure_at, open_until, reason
FROM ops.breaker
WHERE name = %(name)s
FOR UPDATE;

-- name: write_breaker
-- Store the state of one breaker.
INSERT INTO ops.breaker (name, state, failure_count, first_failure_at, open_until, reason, updated_at)
VALUES (%(name)s, %(state)s, %(failure_count)s, %(first_failure_at)s, %(open_until)s, %(reason)s, %(now)s)
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state,
    failure_count = excluded.failure_count,
    first_failure_at = excluded.first_failure_at,
    open_until = excluded.open_until,
    reason = excluded.reason,
    updated_at = excluded.updated_at;

-- name: close_breakers
-- The sources answered again.
UPDATE ops.breaker
SET state = 'closed', failure_count = 0, first_failure_at = NULL, open_until = NULL, reason = NULL, updated_at = %(now)s
WHERE name = ANY (%(names)s::text[]) AND state <> 'closed';
