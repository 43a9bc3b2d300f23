-- Runs of the time machine: what was asked, how far it is, what came of it. Instants of the run itself are real time; `begins`
-- and `reached` are the brand's.
CREATE TABLE time_machine_run (
    id           uuid        PRIMARY KEY,
    brand_id     uuid        NOT NULL,
    asked        jsonb       NOT NULL,
    requested_by text        NOT NULL,
    requested_at timestamptz NOT NULL,
    state        text        NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    started_at   timestamptz,
    finished_at  timestamptz,
    -- The brand's time when the book was copied.
    begins       timestamptz,
    -- The settings that are being lived through, and how far.
    side         text        CHECK (side IN ('base', 'other')),
    reached      timestamptz,
    failure_code text        NOT NULL DEFAULT '',
    failure      text        NOT NULL DEFAULT '',
    UNIQUE (brand_id, id),
    CHECK ((state IN ('done', 'failed')) = (finished_at IS NOT NULL)),
    CHECK ((state = 'failed') = (failure_code <> ''))
);
CREATE INDEX time_machine_run_newest ON time_machine_run (brand_id, id DESC);

-- What would happen. `key` is the same for the same thing in both runs.
CREATE TABLE time_machine_entry (
    brand_id        uuid        NOT NULL,
    run_id          uuid        NOT NULL,
    side            text        NOT NULL CHECK (side IN ('base', 'other')),
    kind            text        NOT NULL CHECK (kind IN ('invoice', 'charge', 'suspension', 'end', 'mail', 'task')),
    key             text        NOT NULL,
    at              timestamptz NOT NULL,
    subscription_id uuid,
    account_id      uuid,
    amount_minor    bigint,
    currency        text        CHECK (length(currency) = 3),
    outcome         text        NOT NULL,
    label           text        NOT NULL,
    CHECK ((amount_minor IS NULL) = (currency IS NULL)),
    PRIMARY KEY (brand_id, run_id, side, kind, key),
    FOREIGN KEY (brand_id, run_id) REFERENCES time_machine_run (brand_id, id) ON DELETE CASCADE
);
CREATE INDEX time_machine_entry_at ON time_machine_entry (brand_id, run_id, side, at, key);

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['time_machine_run', 'time_machine_entry'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;

-- Whose turn it is, over all brands, and which results may be forgotten. No policy: it holds ids and instants only.
CREATE TABLE time_machine_turn (
    run_id     uuid        PRIMARY KEY,
    brand_id   uuid        NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT now(),
    -- How often somebody began with it.
    tries      integer     NOT NULL DEFAULT 0,
    -- Nothing is left to do; the result is kept until then.
    keep_until timestamptz
);
CREATE INDEX time_machine_turn_waiting ON time_machine_turn (asked_at) WHERE keep_until IS NULL;
CREATE INDEX time_machine_turn_spent ON time_machine_turn (keep_until) WHERE keep_until IS NOT NULL;
