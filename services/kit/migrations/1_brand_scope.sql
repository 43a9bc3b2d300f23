-- Which service this database belongs to; one row, written by `ottery migrate`.
CREATE TABLE kit_service (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    name     text NOT NULL
);

-- The brand of the running transaction, set by `kit::db::begin`. Row-level security policies compare with it:
-- NULL (nothing set) equals no brand, so a forgotten scope sees no rows.
CREATE FUNCTION ottery_brand() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('ottery.brand', true), '')::uuid;

-- Makes the monthly partitions of `parent` from last month to `months` ahead; rows outside them go to the
-- DEFAULT partition, which is correct, only less tidy. Called by the owner at every `ottery migrate`; the
-- application role owns nothing and cannot call it with effect.
CREATE FUNCTION ottery_ensure_partitions(parent text, key text, months integer) RETURNS integer
    LANGUAGE plpgsql AS $$
DECLARE
    month_start timestamptz;
    month_end   timestamptz;
    part        text;
    strays      boolean;
    made        integer := 0;
BEGIN
    FOR i IN -1 .. months LOOP
        month_start := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => i)) AT TIME ZONE 'UTC';
        month_end   := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => i + 1)) AT TIME ZONE 'UTC';
        part := format('%s_%s', parent, to_char(month_start AT TIME ZONE 'UTC', 'YYYYMM'));
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I >= $1 AND %I < $2)', parent || '_default', key, key)
            INTO strays USING month_start, month_end;
        CONTINUE WHEN strays;
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L) '
            'WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500)',
            part, parent, month_start, month_end);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Drops monthly partitions of `parent` that are empty and ended more than 60 days ago. Owner only, like the above.
CREATE FUNCTION ottery_drop_empty_partitions(parent text) RETURNS integer
    LANGUAGE plpgsql AS $$
DECLARE
    part    record;
    filled  boolean;
    dropped integer := 0;
BEGIN
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass(parent) AND c.relname ~ (parent || '_[0-9]{6}$')
          AND to_date(right(c.relname, 6), 'YYYYMM') < (now() AT TIME ZONE 'UTC')::date - 92
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', part.relname) INTO filled;
        CONTINUE WHEN filled;
        EXECUTE format('DROP TABLE %I', part.relname);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
