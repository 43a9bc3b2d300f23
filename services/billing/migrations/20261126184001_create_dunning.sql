-- Dunning: a brand's campaigns, who is not suspended before when, and the guard against
-- suspending everybody at once.

-- Versions of the brand's campaign; the newest is for new cases. A version never changes.
CREATE TABLE dunning_campaign (
    brand_id   uuid        NOT NULL,
    version    integer     NOT NULL CHECK (version >= 1),
    content    jsonb       NOT NULL,
    saved_by   text        NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (brand_id, version)
);
CREATE TRIGGER dunning_campaign_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dunning_campaign
    FOR EACH STATEMENT EXECUTE FUNCTION ottery_refuse_change();

-- By how much an invoice's dunning is set back, because its customer had to confirm. An invoice goes by the campaign that was
-- the newest when it was issued, so nothing else has to be remembered of it.
CREATE TABLE dunning_pause (
    brand_id       uuid   NOT NULL,
    invoice_id     uuid   NOT NULL,
    paused_seconds bigint NOT NULL CHECK (paused_seconds >= 0),
    PRIMARY KEY (brand_id, invoice_id),
    FOREIGN KEY (brand_id, invoice_id) REFERENCES invoice (brand_id, id)
);

-- When a customer heard of any debt last.
ALTER TABLE customer ADD COLUMN contacted_at timestamptz;

-- Neither suspended nor ended for not paying before `until`.
CREATE TABLE suspension_hold (
    brand_id        uuid        NOT NULL,
    subscription_id uuid        NOT NULL,
    -- A member of staff said so, or the guard, day by day until somebody decides.
    source          text        NOT NULL CHECK (source IN ('staff', 'guard')),
    until           timestamptz NOT NULL,
    -- The guard's only: what is not paid. Another debt is another matter.
    invoice_id      uuid,
    reason          text        NOT NULL DEFAULT '',
    held_by         text        NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL,
    -- The guard's only: staff let the suspension happen.
    released_at     timestamptz,
    CHECK ((source = 'guard') = (invoice_id IS NOT NULL)),
    PRIMARY KEY (brand_id, subscription_id, source)
);
CREATE INDEX suspension_hold_waiting ON suspension_hold (brand_id, subscription_id)
    WHERE source = 'guard' AND released_at IS NULL;

-- How many suspensions the present hour has seen (the database's hour: the brand's clock may be what is wrong). A platform table
-- of counts: whoever watches looks at all brands.
CREATE TABLE suspension_guard (
    brand_id  uuid        PRIMARY KEY,
    hour_from timestamptz NOT NULL DEFAULT '-infinity',
    live      bigint      NOT NULL DEFAULT 0,
    suspended bigint      NOT NULL DEFAULT 0,
    halted_at timestamptz
);
CREATE INDEX suspension_guard_halted ON suspension_guard (brand_id) WHERE halted_at IS NOT NULL;
CREATE INDEX subscription_grace ON subscription (brand_id, grace_until) WHERE state = 'past_due';

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['dunning_campaign', 'dunning_pause', 'suspension_hold'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;
