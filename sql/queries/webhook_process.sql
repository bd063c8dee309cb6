-- name: open_run
-- Record the run once; the same Airflow run opened again keeps its row, and when it was a good one, and runs again.
INSERT INTO ops.sync_run (dag_id, airflow_run_id, kind, started_at)
VALUES (%(dag_id)s, %(airflow_run_id)s, %(kind)s, %(now)s)
ON CONFLICT (dag_id, airflow_run_id) DO UPDATE SET finished_at = NULL
RETURNING run_id;

-- name: wait_briefly
-- While we wait for one writer the others wait behind us.
SELECT set_config('lock_timeout', '5s', true);

-- name: wait_for_writers
-- Whoever writes into the inbox holds this lock shared until its commit: behind it no lower id can appear.
SELECT pg_advisory_xact_lock(hashtextextended('steadfast webhook inbox', 0));

-- name: read_fence
-- The last id that was given out; rows up to here are committed or never will be.
SELECT coalesce(pg_sequence_last_value('landing.webhook_inbox_id'), 0);

-- name: lock_watermark
-- How far events are in chunks; locked, so that two planners take turns.
SELECT planned_to FROM ops.webhook_watermark FOR UPDATE;

-- name: move_watermark
-- From here on the events up to the fence belong to their chunks.
UPDATE ops.webhook_watermark SET planned_to = %(fence)s, planned_at = %(now)s;

-- name: count_waiting
-- How many events of each entity are in no chunk yet.
SELECT
    entity_id,
    count(*) AS event_count,
    sum(octet_length(body)) AS byte_count,
    min(received_at) AS first_received_at,
    max(received_at) AS last_received_at
FROM landing.webhook_inbox
WHERE inbox_id > %(planned_to)s
    AND inbox_id <= %(fence)s
GROUP BY entity_id;

-- name: insert_chunk
-- A chunk of events of several entities, each of which has few.
INSERT INTO ops.webhook_chunk (
    run_id, entity_ids, from_id, to_id, first_received_at, last_received_at, event_count, planned_at
)
VALUES (
    %(run_id)s, %(entity_ids)s, %(planned_to)s, %(fence)s, %(first_received_at)s, %(last_received_at)s,
    %(event_count)s, %(now)s
);

-- name: insert_parts
-- Chunks of entities that have many events: equal parts by id, without a gap between them, read in one go.
INSERT INTO ops.webhook_chunk (
    run_id, entity_ids, from_id, to_id, first_received_at, last_received_at, event_count, planned_at
)
SELECT
    %(run_id)s,
    ARRAY[part.entity_id],
    lag(part.to_id, 1, %(planned_to)s::bigint) OVER (PARTITION BY part.entity_id ORDER BY part.number),
    part.to_id,
    part.first_received_at,
    part.last_received_at,
    part.event_count,
    %(now)s
FROM (
    SELECT
        numbered.entity_id,
        numbered.number,
        max(numbered.inbox_id) AS to_id,
        min(numbered.received_at) AS first_received_at,
        max(numbered.received_at) AS last_received_at,
        count(*) AS event_count
    FROM (
        SELECT
            inbox.entity_id,
            inbox.inbox_id,
            inbox.received_at,
            ntile(cut.part_count) OVER (PARTITION BY inbox.entity_id ORDER BY inbox.inbox_id) AS number
        FROM landing.webhook_inbox AS inbox
        JOIN unnest(%(entity_ids)s::integer[], %(part_counts)s::integer[]) AS cut (entity_id, part_count)
            ON cut.entity_id = inbox.entity_id
        WHERE inbox.inbox_id > %(planned_to)s
            AND inbox.inbox_id <= %(fence)s
    ) AS numbered
    GROUP BY
        numbered.entity_id,
        numbered.number
) AS part;

-- name: limit_statements
-- One statement of a chunk may take long, but not for ever, and a worker that vanished keeps no chunk locked;
-- sorts and hashes of a chunk fit into memory.
SELECT
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('idle_in_transaction_session_timeout', %(idle_timeout)s, true),
    set_config('work_mem', %(work_mem)s, true);

-- name: claim_chunk
-- The smallest chunk that is due and that nobody else works on; locked until the transaction ends.
SELECT
    chunk_id,
    entity_ids,
    from_id,
    to_id,
    first_received_at,
    last_received_at,
    event_count,
    attempt
FROM ops.webhook_chunk
WHERE state = 'planned'
    AND (next_try_at IS NULL OR next_try_at <= %(now)s)
    AND chunk_id <> ALL (%(tried)s::bigint[])
ORDER BY event_count, chunk_id
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: make_room
-- A place for the events of one chunk at a time, seen by this worker only; a commit empties it.
CREATE TEMPORARY TABLE IF NOT EXISTS chunk_event (
    inbox_id bigint NOT NULL,
    entity_id integer NOT NULL,
    source_id integer NOT NULL,
    event_id text NOT NULL,
    event_type text,
    schema_version smallint NOT NULL,
    received_at timestamptz NOT NULL,
    body bytea NOT NULL,
    is_text_ok boolean NOT NULL,
    root_id bigint NOT NULL
) ON COMMIT DELETE ROWS;

-- name: take_events
-- Read the chunk once: its events lie scattered among those of others, and each type asks for its own.
INSERT INTO pg_temp.chunk_event
SELECT
    inbox_id,
    entity_id,
    source_id,
    event_id,
    event_type,
    schema_version,
    received_at,
    body,
    is_text_ok,
    coalesce(root_id, inbox_id)
FROM landing.webhook_inbox
WHERE entity_id = ANY (%(entity_ids)s::integer[])
    AND inbox_id > %(from_id)s
    AND inbox_id <= %(to_id)s
    AND received_at BETWEEN %(first_received_at)s AND %(last_received_at)s;

-- name: lies_in_range
-- The events of a chunk, or of a part of it.
inbox.inbox_id > %(from_id)s
AND inbox.inbox_id <= %(to_id)s

-- name: survey_chunk
-- Which kinds of events a chunk holds, and how many; null stands for those that no table takes.
SELECT
    known.event_type,
    known.version,
    count(*)
FROM pg_temp.chunk_event AS inbox
LEFT JOIN unnest(%(known_types)s::text[], %(known_versions)s::integer[]) AS known (event_type, version)
    ON known.event_type = inbox.event_type
    AND known.version = inbox.schema_version
    AND inbox.is_text_ok
WHERE {lies_in_range}
GROUP BY
    known.event_type,
    known.version
ORDER BY
    known.event_type,
    known.version;

-- name: bury_strangers
-- Events that no table takes: text that cannot be kept, types and versions without a contract.
INSERT INTO landing.dead_letter (
    inbox_id, entity_id, source_id, event_id, event_type, received_at, reason, detail, failed_at
)
SELECT
    inbox.inbox_id,
    inbox.entity_id,
    inbox.source_id,
    inbox.event_id,
    inbox.event_type,
    inbox.received_at,
    CASE
        WHEN NOT inbox.is_text_ok THEN 'unstorable_text'
        WHEN known.versions IS NULL THEN 'unknown_type'
        ELSE 'unknown_version'
    END,
    CASE
        WHEN NOT inbox.is_text_ok
            THEN 'The event holds text that PostgreSQL cannot keep: \u0000, or half of a surrogate pair.'
        WHEN inbox.event_type IS NULL
            THEN 'type is missing or no name; valid is ' || known_type.names || '.'
        WHEN known.versions IS NULL
            THEN 'type is "' || inbox.event_type || '"; valid is ' || known_type.names || '.'
        ELSE 'version of ' || inbox.event_type || ' is '
            || CASE inbox.schema_version WHEN 0 THEN 'no number' ELSE inbox.schema_version::text END
            || '; valid is ' || known.names || '.'
    END,
    %(now)s
FROM pg_temp.chunk_event AS inbox
CROSS JOIN (
    SELECT string_agg(DISTINCT given.event_type, ', ') AS names
    FROM unnest(%(known_types)s::text[]) AS given (event_type)
) AS known_type
LEFT JOIN (
    SELECT
        given.event_type,
        array_agg(given.version) AS versions,
        string_agg(given.version::text, ', ' ORDER BY given.version) AS names
    FROM unnest(%(known_types)s::text[], %(known_versions)s::integer[]) AS given (event_type, version)
    GROUP BY given.event_type
) AS known ON known.event_type = inbox.event_type
WHERE {lies_in_range}
    AND (
        NOT inbox.is_text_ok
        OR known.versions IS NULL
        OR inbox.schema_version <> ALL (known.versions)
    )
ON CONFLICT (inbox_id) DO NOTHING;

-- name: bury_refused
-- An event that the checks let through and PostgreSQL did not.
INSERT INTO landing.dead_letter (
    inbox_id, entity_id, source_id, event_id, event_type, received_at, reason, detail, sqlstate, failed_at
)
SELECT
    inbox.inbox_id,
    inbox.entity_id,
    inbox.source_id,
    inbox.event_id,
    inbox.event_type,
    inbox.received_at,
    'not_storable',
    %(detail)s,
    %(sqlstate)s,
    %(now)s
FROM pg_temp.chunk_event AS inbox
WHERE {lies_in_range}
    AND inbox.event_type = %(event_type)s
    AND inbox.schema_version = %(schema_version)s
    AND inbox.is_text_ok
ON CONFLICT (inbox_id) DO NOTHING;

-- name: list_events
-- The events of one kind in a chunk, in order: what is halved until the one that PostgreSQL refuses is alone.
SELECT inbox.inbox_id
FROM pg_temp.chunk_event AS inbox
WHERE {lies_in_range}
    AND inbox.event_type = %(event_type)s
    AND inbox.schema_version = %(schema_version)s
    AND inbox.is_text_ok
ORDER BY inbox.inbox_id;

-- name: apply_events
-- Judge the events of one type and version; the good ones go to their table, the newest of a key wins, the others die.
WITH judged AS MATERIALIZED (
    SELECT
        found.inbox_id,
        found.entity_id,
        found.source_id,
        found.event_id,
        found.received_at,
        found.root_id,
        found.occurred,
        found.fault,
        {given},
        -- What nobody asks for again would only fill the memory.
        CASE WHEN found.fault IS NOT NULL OR {keeps_data} THEN found.data END AS data
    FROM (
        SELECT
            taken.*,
            CASE
                {faults}
            END AS fault
        FROM (
            SELECT
                {fields},
                opened.*
            FROM (
                SELECT
                    parsed.inbox_id,
                    parsed.entity_id,
                    parsed.source_id,
                    parsed.event_id,
                    parsed.received_at,
                    parsed.root_id,
                    parsed.event ->> 'timestamp' AS occurred,
                    parsed.event -> 'data' AS data
                FROM (
                    SELECT
                        inbox.inbox_id,
                        inbox.entity_id,
                        inbox.source_id,
                        inbox.event_id,
                        inbox.received_at,
                        inbox.root_id,
                        convert_from(inbox.body, 'UTF8')::jsonb AS event
                    FROM pg_temp.chunk_event AS inbox
                    WHERE {lies_in_range}
                        AND inbox.event_type = %(event_type)s
                        AND inbox.schema_version = %(schema_version)s
                        AND inbox.is_text_ok
                    -- What is costly is worked out once, not wherever it is used.
                    OFFSET 0
                ) AS parsed
                OFFSET 0
            ) AS opened
            OFFSET 0
        ) AS taken
        OFFSET 0
    ) AS found
),
kept AS (
    INSERT INTO facts.{table} AS target (
        entity_id,
        source_id,
        event_on,
        event_at,
        inbox_id,
        root_id,
        received_at,
        run_id,
        {columns}
    )
    SELECT DISTINCT ON (source_id, {key})
        newest.*
    FROM (
        SELECT
            judged.entity_id,
            judged.source_id,
            {event_on} AS event_on,
            judged.occurred::timestamptz AS event_at,
            judged.inbox_id,
            judged.root_id,
            judged.received_at,
            %(run_id)s::bigint AS run_id,
            {values}
        FROM judged
        LEFT JOIN config.webhook_source AS source ON source.source_id = judged.source_id
        WHERE judged.fault IS NULL
    ) AS newest
    ORDER BY
        source_id,
        {key},
        event_at DESC,
        root_id DESC,
        inbox_id DESC
    ON CONFLICT (source_id, {key}) DO UPDATE SET
        entity_id = excluded.entity_id,
        event_on = excluded.event_on,
        event_at = excluded.event_at,
        inbox_id = excluded.inbox_id,
        root_id = excluded.root_id,
        received_at = excluded.received_at,
        run_id = excluded.run_id
        {updates}
    -- Of one moment the one that came last, and a replay counts as what it is a copy of.
    WHERE (target.event_at, target.root_id, target.inbox_id)
        <= (excluded.event_at, excluded.root_id, excluded.inbox_id)
),
buried AS (
    INSERT INTO landing.dead_letter (
        inbox_id, entity_id, source_id, event_id, event_type, received_at, reason, detail, failed_at
    )
    SELECT
        judged.inbox_id,
        judged.entity_id,
        judged.source_id,
        judged.event_id,
        %(event_type)s,
        judged.received_at,
        fault.reason,
        fault.subject
        || CASE
            WHEN came.value IS NULL OR came.value = 'null' THEN ' is missing'
            WHEN jsonb_typeof(came.value) IN ('object', 'array') THEN ' is an ' || jsonb_typeof(came.value)
            -- Signs that are not shown, or that turn the text around, have no place in a message.
            ELSE ' is ' || regexp_replace(left(came.value::text, %(longest_shown)s), %(unseen)s, '?', 'g')
                || CASE WHEN length(came.value::text) > %(longest_shown)s THEN '…' ELSE '' END
        END
        || '; valid is ' || fault.valid || '.',
        %(now)s
    FROM judged
    JOIN unnest(
        %(reasons)s::text[],
        %(subjects)s::text[],
        %(valid_words)s::text[]
    ) WITH ORDINALITY AS fault (reason, subject, valid, number) ON fault.number = judged.fault
    CROSS JOIN LATERAL (
        SELECT CASE fault.subject
            WHEN 'timestamp' THEN to_jsonb(judged.occurred)
            WHEN 'data' THEN judged.data
            ELSE judged.data -> substr(fault.subject, 6)
        END AS value
    ) AS came
    ON CONFLICT (inbox_id) DO NOTHING
)
SELECT
    count(*) FILTER (WHERE fault IS NULL),
    count(*) FILTER (WHERE fault IS NOT NULL)
FROM judged;

-- name: take_field
-- A field of `data` as text.
opened.data ->> {name} AS {given}

-- name: take_optional_field
-- A field of `data` as text, if there is any: many senders write nothing as an empty text.
nullif(opened.data ->> {name}, '') AS {given}

-- name: name_given
-- A field on its way to the table. 10042.0 is the number 10042, and so is its text.
CASE
    WHEN found.{given} LIKE '%%.%%0' AND jsonb_typeof(found.data -> {name}) = 'number'
        THEN split_part(found.{given}, '.', 1)
    ELSE found.{given}
END AS {given}

-- name: fault
-- The first check that does not hold decides.
WHEN {condition} THEN {number}

-- name: is_absent
-- A required field is not there, or null.
taken.{given} IS NULL

-- name: is_unlike
-- A value does not look as it should; no JSON but a text or number looks like these patterns.
taken.{given} !~ {pattern}

-- name: is_unlike_number
-- Short numbers are told by a cheap look, long ones by the pattern, which counts their digits.
(taken.{given} !~ {simple} OR length(taken.{given}) > 8)
AND taken.{given} !~ {pattern}

-- name: is_no_text
-- Neither a text of the right length nor a whole number. Only what begins like other JSON can be no text.
CASE
    WHEN ascii(taken.{given}) IN (45, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 91, 123)
        OR taken.{given} IN ('true', 'false')
        THEN NOT CASE jsonb_typeof(taken.data -> {name})
            WHEN 'string' THEN length(taken.{given}) <= {longest}
            WHEN 'number' THEN taken.{given} ~ {pattern}
            ELSE false
        END
    ELSE length(taken.{given}) NOT BETWEEN 1 AND {longest}
END

-- name: is_no_choice
-- None of the words that are allowed.
taken.{given} <> ALL ({choices})

-- name: is_no_day
-- Another look than a day has, or a day that is none: the 30th of February.
taken.{given} !~ {pattern}
OR NOT landing.is_valid_input(taken.{given}, 'date')

-- name: is_data_absent
-- There are no fields.
coalesce(jsonb_typeof(taken.data), 'null') = 'null'

-- name: is_no_object
-- The fields are not in an object.
jsonb_typeof(taken.data) <> 'object'

-- name: is_no_moment
-- Not a moment with its zone. In the usual shapes digits between single signs are enough, which is told faster.
CASE
    WHEN {text} LIKE ANY ({shapes}) THEN {text} !~ {digits}
    ELSE {text} !~ {pattern}
END
OR NOT landing.is_valid_input({text}, 'timestamptz')

-- name: is_undated
-- The event does not say when it happened.
taken.occurred IS NULL

-- name: is_too_far_ahead
-- A clock that runs so far ahead would win over every later event, and no number of that day could be final.
{text}::timestamptz > taken.received_at + {most}

-- name: is_day_too_far_ahead
-- A day that has begun nowhere when the event was received.
taken.{given}::date > ((taken.received_at + {most}) AT TIME ZONE 'UTC')::date

-- name: is_ancient
-- A clock that was never set.
taken.occurred::timestamptz < timestamptz '2000-01-01 00:00:00+00'

-- name: is_key_too_long
-- What identifies a row would not fit into its index.
{bytes} > {most}

-- name: count_bytes
-- The size of one part of a key.
octet_length(taken.{given})

-- name: count_folded_bytes
-- The same of a part that is folded: a few letters are longer in lower case.
octet_length(lower(taken.{given}))

-- name: keep_text
-- Kept as it came.
judged.{given}

-- name: keep_folded
-- Spellings that differ in case, or in spaces around them, are one; as the marts fold what GA4 says.
coalesce(nullif(lower(btrim(judged.{given})), ''), '(not set)')

-- name: keep_amount
-- Money, exact.
judged.{given}::numeric(20,6)

-- name: keep_count
-- 3, or 3.0 as some senders write it.
judged.{given}::numeric::bigint

-- name: keep_moment
-- A point in time.
judged.{given}::timestamptz

-- name: keep_day
-- A day as it was named.
judged.{given}::date

-- name: keep_event_id
-- The id that the event was sent with.
judged.event_id

-- name: keep_data
-- All of it.
judged.data

-- name: keep_nothing
-- A column of a newer version: an event that does not know it leaves it empty, whatever came before.
NULL::{kind}

-- name: name_value
-- A value under the name of its column.
{value} AS {column}

-- name: day_of_moment
-- The day in the zone of the source.
({moment}::timestamptz AT TIME ZONE coalesce(source.time_zone, 'UTC'))::date

-- name: update_column
-- The newer event replaces the value.
{column} = excluded.{column}

-- name: resolve_originals
-- Dead letters whose replayed copy was applied just now are mended, and with them what those were copies of.
WITH RECURSIVE mended AS (
    SELECT original.inbox_id
    FROM landing.dead_letter AS original
    WHERE original.state = 'replayed'
        AND original.replayed_as > %(from_id)s
        AND original.replayed_as <= %(to_id)s
        AND original.entity_id = ANY (%(entity_ids)s::integer[])
        AND NOT EXISTS (
            SELECT FROM landing.dead_letter AS copy WHERE copy.inbox_id = original.replayed_as
        )
    UNION
    SELECT older.inbox_id
    FROM mended
    JOIN landing.dead_letter AS older ON older.replayed_as = mended.inbox_id
    WHERE older.state = 'replayed'
)
UPDATE landing.dead_letter AS dead
SET state = 'resolved', settled_at = %(now)s, settled_by = 'replay'
FROM mended
WHERE dead.inbox_id = mended.inbox_id;

-- name: finish_chunk
-- Every event of the chunk is in its table or a dead letter.
UPDATE ops.webhook_chunk
SET
    state = 'done',
    attempt = attempt + 1,
    next_try_at = NULL,
    error = NULL,
    applied_count = %(applied_count)s,
    dead_count = %(dead_count)s,
    finished_at = %(now)s,
    finished_by = %(run_id)s,
    announced_by = NULL
WHERE chunk_id = %(chunk_id)s;

-- name: postpone_chunk
-- The chunk could not be applied; it is tried again at that time, or in the next run.
UPDATE ops.webhook_chunk
SET
    attempt = attempt + 1,
    next_try_at = %(next_try_at)s,
    error = %(error)s
WHERE chunk_id = %(chunk_id)s
    AND state = 'planned';
