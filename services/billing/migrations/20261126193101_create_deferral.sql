-- Money that was paid for time that has not passed. The account `deferred` is what all of these have left.

CREATE TABLE deferral (
    id              uuid        PRIMARY KEY,
    brand_id        uuid        NOT NULL,
    entity_id       uuid        NOT NULL,
    subscription_id uuid        NOT NULL,
    invoice_id      uuid        NOT NULL,
    currency        text        NOT NULL CHECK (length(currency) = 3),
    -- Without tax.
    amount_minor    bigint      NOT NULL CHECK (amount_minor > 0),
    created_at      timestamptz NOT NULL,
    -- What became revenue by the passing of days, and what was taken out before its time (credited, released).
    recognised_minor bigint     NOT NULL DEFAULT 0 CHECK (recognised_minor >= 0),
    taken_minor     bigint      NOT NULL DEFAULT 0 CHECK (taken_minor >= 0),
    -- How the rest is spread: `rest_done` of `rest_days` days from `rest_first` on are recognised.
    rest_minor      bigint      NOT NULL CHECK (rest_minor >= 0),
    rest_first      date        NOT NULL,
    rest_days       integer     NOT NULL CHECK (rest_days >= 1),
    rest_done       integer     NOT NULL CHECK (rest_done BETWEEN 0 AND rest_days),
    -- Since when time stands still.
    paused_on       date,
    -- The day that is recognised next; none when nothing is left or time stands still.
    next_day        date,
    UNIQUE (brand_id, invoice_id),
    FOREIGN KEY (brand_id, invoice_id) REFERENCES invoice (brand_id, id),
    -- Nothing is made or lost: what is not recognised or taken is left.
    CHECK (amount_minor - recognised_minor - taken_minor
           = rest_minor - (rest_minor / rest_days * rest_done + least(rest_minor % rest_days, rest_done)))
);
CREATE INDEX deferral_subscription ON deferral (brand_id, subscription_id);
CREATE INDEX deferral_next ON deferral (brand_id, next_day) WHERE next_day IS NOT NULL;

-- What one day's passing made revenue; its transfer names it.
CREATE TABLE recognition (
    id           uuid        PRIMARY KEY,
    brand_id     uuid        NOT NULL,
    entity_id    uuid        NOT NULL,
    -- The day it was earned on, in the entity's zone; booked later when nobody was at work then.
    day          date        NOT NULL,
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    currency     text        NOT NULL CHECK (length(currency) = 3),
    booked_at    timestamptz NOT NULL
);
CREATE INDEX recognition_day ON recognition (brand_id, day);
CREATE TRIGGER recognition_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON recognition
    FOR EACH STATEMENT EXECUTE FUNCTION ottery_refuse_change();

-- When a brand's next day begins that something is recognised on. A platform table: the worker looks across brands.
CREATE TABLE recognition_due (
    brand_id uuid        PRIMARY KEY,
    due_at   timestamptz NOT NULL
);
CREATE INDEX recognition_due_at ON recognition_due (due_at);

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['deferral', 'recognition'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;
