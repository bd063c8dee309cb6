-- Partitions that the pipeline may add without owning a table.

-- The partition is made beside the table and then attached: readers and writers of the table never wait.
CREATE FUNCTION ops.add_range_partition(
    schema_name text, table_name text, partition_name text, lower_bound text, upper_bound text
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent oid;
BEGIN
    SELECT class.oid INTO parent
    FROM pg_class AS class
    JOIN pg_partitioned_table AS partitioned ON partitioned.partrelid = class.oid
    JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE namespace.nspname = schema_name
        AND class.relname = table_name
        AND partitioned.partstrat = 'r';
    IF parent IS NULL THEN
        RAISE EXCEPTION '%.% is not a table partitioned by range', schema_name, table_name
            USING ERRCODE = 'undefined_table';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('steadfast partition', parent::bigint));
    IF EXISTS (
        SELECT FROM pg_inherits AS inherits
        JOIN pg_class AS child ON child.oid = inherits.inhrelid
        WHERE inherits.inhparent = parent AND child.relname = partition_name
    ) THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'CREATE TABLE %1$I.%2$I (LIKE %1$I.%3$I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED '
        'INCLUDING STORAGE INCLUDING COMPRESSION)',
        schema_name, partition_name, table_name);
    EXECUTE format(
        'ALTER TABLE %1$I.%2$I ATTACH PARTITION %1$I.%3$I FOR VALUES FROM (%4$L) TO (%5$L)',
        schema_name, table_name, partition_name, lower_bound, upper_bound);
    RETURN true;
END
$$;
REVOKE EXECUTE ON FUNCTION ops.add_range_partition FROM PUBLIC;

CREATE FUNCTION facts.ensure_month(table_name text, month date) RETURNS boolean
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ops.add_range_partition(
        'facts',
        table_name,
        table_name || to_char(first_day, '_YYYY_MM'),
        to_char(first_day, 'YYYY-MM-DD'),
        to_char(first_day + interval '1 month', 'YYYY-MM-DD')
    )
    FROM date_trunc('month', month::timestamp) AS first_day
$$;
COMMENT ON FUNCTION facts.ensure_month IS 'make the monthly partition that holds a day; false if it is there';

CREATE FUNCTION landing.ensure_day(table_name text, day date) RETURNS boolean
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ops.add_range_partition(
        'landing',
        table_name,
        table_name || to_char(day, '_YYYY_MM_DD'),
        to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00',
        to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00'
    )
$$;
COMMENT ON FUNCTION landing.ensure_day IS 'make the partition of one UTC day; false if it is there';

REVOKE EXECUTE ON FUNCTION facts.ensure_month, landing.ensure_day FROM PUBLIC;
GRANT EXECUTE ON FUNCTION facts.ensure_month, landing.ensure_day TO steadfast_pipeline;
