-- The registry of tenants. Not under row-level security: a host name must lead to its brand before any brand is known.
-- It holds nothing secret; who may change a row is decided by the signed actor.
CREATE TABLE brand (
    id              uuid PRIMARY KEY,
    slug            text        NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
    -- Validated domain value (domain::brand::Brand) as JSON.
    content         jsonb       NOT NULL,
    version         bigint      NOT NULL CHECK (version > 0),
    -- Moves with every change of the brand, its plans or prices; cached pages are keyed by it.
    catalog_version bigint      NOT NULL DEFAULT 1,
    -- Version of the brand as an aggregate of events; moves with the test clock too.
    event_version   bigint      NOT NULL DEFAULT 0,
    updated_at      timestamptz NOT NULL,
    clock_state     text        NOT NULL DEFAULT 'off' CHECK (clock_state IN ('off', 'advancing', 'ready')),
    clock_now       timestamptz,
    clock_waiting   text        NOT NULL DEFAULT '',
    CHECK ((clock_state = 'off') = (clock_now IS NULL))
);
CREATE INDEX brand_advancing ON brand (id) WHERE clock_state = 'advancing';

CREATE TABLE brand_host (
    host     text PRIMARY KEY CHECK (host = lower(host)),
    brand_id uuid NOT NULL REFERENCES brand (id)
);
CREATE INDEX brand_host_brand ON brand_host (brand_id);

CREATE TABLE plan (
    id                 uuid PRIMARY KEY,
    brand_id           uuid     NOT NULL REFERENCES brand (id),
    slug               text     NOT NULL CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
    state              text     NOT NULL CHECK (state IN ('draft', 'on_sale', 'archived')),
    position           integer  NOT NULL CHECK (position >= 0),
    featured           boolean  NOT NULL,
    version            bigint   NOT NULL CHECK (version > 0),
    current_version_id uuid     NOT NULL,
    UNIQUE (brand_id, slug),
    UNIQUE (brand_id, id)
);
ALTER TABLE plan ENABLE ROW LEVEL SECURITY;
ALTER TABLE plan FORCE ROW LEVEL SECURITY;
CREATE POLICY plan_brand ON plan USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- What a plan said at a time. Never updated: subscriptions keep the version they bought.
CREATE TABLE plan_version (
    id           uuid PRIMARY KEY,
    brand_id     uuid        NOT NULL,
    plan_id      uuid        NOT NULL,
    number       integer     NOT NULL CHECK (number > 0),
    -- Validated domain value (domain::plan::Content) without its prices.
    content      jsonb       NOT NULL,
    published_at timestamptz NOT NULL,
    UNIQUE (plan_id, number),
    UNIQUE (brand_id, id),
    FOREIGN KEY (brand_id, plan_id) REFERENCES plan (brand_id, id) DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE plan_version ENABLE ROW LEVEL SECURITY;
ALTER TABLE plan_version FORCE ROW LEVEL SECURITY;
CREATE POLICY plan_version_brand ON plan_version USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
ALTER TABLE plan ADD FOREIGN KEY (brand_id, current_version_id) REFERENCES plan_version (brand_id, id)
    DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE price (
    id              uuid PRIMARY KEY,
    brand_id        uuid     NOT NULL,
    plan_version_id uuid     NOT NULL,
    position        smallint NOT NULL,
    currency        text     NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor    bigint   NOT NULL CHECK (amount_minor > 0),
    setup_fee_minor bigint   NOT NULL CHECK (setup_fee_minor >= 0),
    term_count      smallint NOT NULL CHECK (term_count > 0),
    term_unit       text     NOT NULL CHECK (term_unit IN ('day', 'week', 'month', 'year')),
    UNIQUE (plan_version_id, currency, term_count, term_unit),
    FOREIGN KEY (brand_id, plan_version_id) REFERENCES plan_version (brand_id, id) DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE price ENABLE ROW LEVEL SECURITY;
ALTER TABLE price FORCE ROW LEVEL SECURITY;
CREATE POLICY price_brand ON price USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- Versions and prices are history: the database refuses to rewrite it.
CREATE FUNCTION catalog_refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % never change; publish a new version', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER plan_version_is_history BEFORE UPDATE OR DELETE ON plan_version
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_refuse_rewrite();
CREATE TRIGGER price_is_history BEFORE UPDATE OR DELETE ON price
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_refuse_rewrite();
