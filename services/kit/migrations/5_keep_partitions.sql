-- Monthly partitions over the years: made ahead, closed like their table, dropped when nothing in them is worth keeping.
--
-- Only the owner can do any of this, so whoever holds the administrator's URL does it every day (`ottery up` by itself,
-- elsewhere `ottery migrate --partitions`). The application role may call these functions, to no effect: it owns
-- nothing. The present is an argument everywhere.

-- The tables these rules are for: ranges over one instant, with a DEFAULT partition for rows of other months.
CREATE FUNCTION ottery_monthly_tables() RETURNS TABLE (parent text, key text, fallback regclass)
    LANGUAGE sql STABLE AS $$
    SELECT c.relname::text, a.attname::text, p.partdefid::regclass
    FROM pg_partitioned_table p
    JOIN pg_class c ON c.oid = p.partrelid
    JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
    WHERE p.partstrat = 'r' AND p.partnatts = 1 AND p.partdefid <> 0
      AND a.atttypid = 'timestamptz'::regtype AND c.relnamespace = 'public'::regnamespace
    ORDER BY c.relname
$$;

-- The first instant of a month, `months` away from that of `at`. Months are UTC's.
CREATE FUNCTION ottery_month(at timestamptz, months integer) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (date_trunc('month', at AT TIME ZONE 'UTC') + make_interval(months => months)) AT TIME ZONE 'UTC';

CREATE FUNCTION ottery_partition_name(parent text, at timestamptz) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN parent || '_' || to_char(at AT TIME ZONE 'UTC', 'YYYYMM');

-- One keeper at a time: what another one did is then found done.
CREATE FUNCTION ottery_lock_partitions() RETURNS void
    LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(hashtextextended('ottery_partitions', 0)) $$;

-- A partition is a table too: asked by its own name it must show no more than its parent does.
CREATE FUNCTION ottery_wall_partition(parent regclass, part regclass) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    above  record;
    below  record;
    policy record;
BEGIN
    SELECT relrowsecurity AS enabled, relforcerowsecurity AS forced INTO above FROM pg_class WHERE oid = parent;
    SELECT relrowsecurity AS enabled, relforcerowsecurity AS forced INTO below FROM pg_class WHERE oid = part;
    IF above.enabled AND NOT below.enabled THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', part);
    END IF;
    IF above.forced AND NOT below.forced THEN
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', part);
    END IF;
    FOR policy IN
        SELECT p.polname AS name,
               CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END AS kind,
               CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                             WHEN 'd' THEN 'DELETE' ELSE 'ALL' END AS command,
               (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END, ', ')
                FROM unnest(p.polroles) AS role) AS roles,
               ' USING (' || pg_get_expr(p.polqual, parent) || ')' AS visible,
               ' WITH CHECK (' || pg_get_expr(p.polwithcheck, parent) || ')' AS allowed
        FROM pg_policy p
        WHERE p.polrelid = parent
          AND NOT EXISTS (SELECT FROM pg_policy q WHERE q.polrelid = part AND q.polname = p.polname)
    LOOP
        EXECUTE format('CREATE POLICY %I ON %s AS %s FOR %s TO %s', policy.name, part, policy.kind, policy.command,
            policy.roles) || coalesce(policy.visible, '') || coalesce(policy.allowed, '');
    END LOOP;
END $$;

-- The same for all partitions of a table, also those that were made before this function.
CREATE FUNCTION ottery_wall_partitions(parent text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ottery_lock_partitions();
    PERFORM ottery_wall_partition(inhparent, inhrelid) FROM pg_inherits WHERE inhparent = to_regclass(quote_ident(parent));
END $$;

-- Makes the partition of the month that holds `at` and moves that month's rows from the DEFAULT partition into it, in
-- one transaction: nobody ever finds a row twice or not at all. Returns how many moved; NULL: the partition is there.
--
-- Attaching a finished table locks the parent for other changes of its schema only. The DEFAULT partition is locked
-- for everybody while its rows move; with nothing in it, which is how it should be, that is an instant.
CREATE FUNCTION ottery_make_partition(parent text, key text, at timestamptz) RETURNS bigint
    LANGUAGE plpgsql AS $$
DECLARE
    part      text := ottery_partition_name(parent, at);
    starts    timestamptz := ottery_month(at, 0);
    ends      timestamptz := ottery_month(at, 1);
    fallback  regclass;
    is_forced boolean;
    columns   text;
    moved     bigint := 0;
BEGIN
    PERFORM ottery_lock_partitions();
    -- Asked of the catalogue itself: what a name stood for before the wait for that lock may still be remembered.
    IF EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = 'public'::regnamespace) THEN
        RETURN NULL;
    END IF;
    SELECT t.fallback, c.relforcerowsecurity INTO STRICT fallback, is_forced
        FROM ottery_monthly_tables() t JOIN pg_class c ON c.oid = t.fallback WHERE t.parent = ottery_make_partition.parent;

    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE) '
        'WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500)', part, parent);
    EXECUTE format('LOCK TABLE ONLY %I IN SHARE UPDATE EXCLUSIVE MODE', parent);
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', fallback);
    IF pg_relation_size(fallback) > 0 THEN
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns FROM pg_attribute
            WHERE attrelid = fallback AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
        -- Rows that row-level security hides from the owner would stay behind. Nobody else sees this change.
        IF is_forced THEN
            EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', fallback);
        END IF;
        EXECUTE format('WITH moved AS (DELETE FROM %1$s WHERE %2$I >= $1 AND %2$I < $2 RETURNING %3$s) '
            'INSERT INTO %4$I (%3$s) SELECT %3$s FROM moved', fallback, key, columns, part) USING starts, ends;
        GET DIAGNOSTICS moved = ROW_COUNT;
        IF is_forced THEN
            EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', fallback);
        END IF;
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part, starts, ends);
    PERFORM ottery_wall_partition(to_regclass(quote_ident(parent)), to_regclass(quote_ident(part)));
    RETURN moved;
END $$;

-- Which partitions are missing from the month before that of `at` to `months` after it.
CREATE FUNCTION ottery_missing_partitions(at timestamptz, months integer)
    RETURNS TABLE (parent text, key text, month timestamptz)
    LANGUAGE sql STABLE AS $$
    SELECT t.parent, t.key, ottery_month(at, i)
    FROM ottery_monthly_tables() t, generate_series(-1, months) AS i
    WHERE to_regclass(quote_ident(ottery_partition_name(t.parent, ottery_month(at, i)))) IS NULL
    ORDER BY 3, 1
$$;

-- Moves rows dated before `horizon` out of the DEFAULT partition into partitions of their months, which are made for
-- them. Rows of later months stay: a brand on a test clock may be years ahead. Returns how many moved.
CREATE FUNCTION ottery_settle_strays(parent text, horizon timestamptz) RETURNS bigint
    LANGUAGE plpgsql AS $$
DECLARE
    key      text;
    fallback regclass;
    is_blind boolean;
    months   timestamptz[];
    month    timestamptz;
    moved    bigint := 0;
BEGIN
    PERFORM ottery_lock_partitions();
    SELECT t.key, t.fallback INTO STRICT key, fallback
        FROM ottery_monthly_tables() t WHERE t.parent = ottery_settle_strays.parent;
    IF pg_relation_size(fallback) = 0 THEN
        RETURN 0;
    END IF;
    is_blind := row_security_active(fallback);
    IF is_blind THEN
        EXECUTE format('LOCK TABLE ONLY %I IN SHARE UPDATE EXCLUSIVE MODE', parent);
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', fallback);
    END IF;
    EXECUTE format('SELECT array_agg(DISTINCT ottery_month(%1$I, 0)) FROM %2$s WHERE %1$I < $1 AND isfinite(%1$I)', key, fallback)
        INTO months USING horizon;
    IF is_blind THEN
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', fallback);
    END IF;
    FOREACH month IN ARRAY coalesce(months, '{}') LOOP
        moved := moved + coalesce(ottery_make_partition(parent, key, month), 0);
    END LOOP;
    RETURN moved;
END $$;

-- Drops partitions that have been over for longer than `keep` and hold nothing to keep: no row at all or, where `done`
-- names the column that says when a row was done with, no row that is not done or was so within `keep`. A partition
-- whose rows the caller cannot see counts as holding something. Returns the names of what is gone.
CREATE FUNCTION ottery_drop_spent_partitions(parent text, at timestamptz, done text, keep interval) RETURNS text[]
    LANGUAGE plpgsql
    -- Looking for something to keep must be quick under the lock; every `done` has an index.
    SET enable_seqscan = off AS $$
DECLARE
    part     record;
    is_kept  boolean;
    dropped  text[] := '{}';
BEGIN
    PERFORM ottery_lock_partitions();
    FOR part IN
        SELECT c.oid::regclass AS id, c.relname::text AS name, row_security_active(c.oid) AS is_blind
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass(quote_ident(parent)) AND c.relname ~ ('^' || parent || '_[0-9]{6}$')
          AND ottery_month(to_date(right(c.relname, 6), 'YYYYMM')::timestamp AT TIME ZONE 'UTC', 1)
              <= least(at - keep, ottery_month(at, -1))
        ORDER BY c.relname
    LOOP
        -- Twice: without a lock, so that a partition that stays disturbs nobody; then with one, so that the answer holds.
        FOR round IN 1 .. 2 LOOP
            IF round = 2 THEN
                EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', parent);
                EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part.id);
            END IF;
            IF part.is_blind THEN
                is_kept := pg_relation_size(part.id) > 0;
            ELSIF done IS NULL THEN
                EXECUTE format('SELECT EXISTS (SELECT FROM %s)', part.id) INTO is_kept;
            ELSE
                EXECUTE format('SELECT EXISTS (SELECT FROM %1$s WHERE %2$I IS NULL) OR EXISTS (SELECT FROM %1$s WHERE %2$I >= $1)',
                    part.id, done) INTO is_kept USING at - keep;
            END IF;
            EXIT WHEN is_kept;
        END LOOP;
        CONTINUE WHEN is_kept;
        EXECUTE format('DROP TABLE %s', part.id);
        dropped := dropped || part.name;
    END LOOP;
    RETURN dropped;
END $$;

-- How the monthly tables stand at `at`, for everybody who may look: until when partitions are prepared without a gap, and
-- how many rows are in the DEFAULT partition although their month has come or comes within 30 days. Where row-level
-- security hides rows from the caller, the server's estimate of all rows there takes the place of that count.
CREATE FUNCTION ottery_partition_state(at timestamptz)
    RETURNS TABLE (parent text, prepared_until timestamptz, strays bigint)
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    monthly record;
BEGIN
    FOR monthly IN SELECT * FROM ottery_monthly_tables() LOOP
        parent := monthly.parent;
        prepared_until := ottery_month(at, 0);
        WHILE to_regclass(quote_ident(ottery_partition_name(parent, prepared_until))) IS NOT NULL LOOP
            prepared_until := ottery_month(prepared_until, 1);
        END LOOP;
        IF has_table_privilege(monthly.fallback, 'SELECT') AND NOT row_security_active(monthly.fallback) THEN
            EXECUTE format('SELECT count(*) FROM %s WHERE %I < $1', monthly.fallback, monthly.key)
                INTO strays USING at + interval '30 days';
        ELSE
            strays := pg_stat_get_live_tuples(monthly.fallback);
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- What migrations of services call after they made a partitioned table and its DEFAULT partition.
CREATE OR REPLACE FUNCTION ottery_ensure_partitions(parent text, key text, months integer) RETURNS integer
    LANGUAGE plpgsql AS $$
DECLARE
    made integer := 0;
BEGIN
    FOR i IN -1 .. months LOOP
        IF ottery_make_partition(parent, key, ottery_month(now(), i)) IS NOT NULL THEN
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

DROP FUNCTION ottery_drop_empty_partitions(text);
