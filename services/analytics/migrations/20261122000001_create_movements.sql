-- The source of every figure: what happened to subscriptions, with the instant it took effect. Append-only.
CREATE TABLE subscription_event (
    event_id        uuid PRIMARY KEY,
    brand_id        uuid        NOT NULL,
    account_id      uuid        NOT NULL,
    subscription_id uuid        NOT NULL,
    version         bigint      NOT NULL CHECK (version > 0),
    state           text        NOT NULL CHECK (state IN ('pending', 'trialing', 'active', 'past_due', 'suspended', 'paused', 'ended')),
    -- Net amount of one term; 0 unless the subscription pays.
    recurring_minor bigint      NOT NULL CHECK (recurring_minor >= 0),
    currency        text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    term_count      integer     NOT NULL CHECK (term_count > 0),
    term_unit       text        NOT NULL CHECK (term_unit IN ('day', 'week', 'month', 'year')),
    effective_at    timestamptz NOT NULL,
    UNIQUE (brand_id, subscription_id, version)
);
CREATE INDEX subscription_event_account ON subscription_event (brand_id, account_id);
ALTER TABLE subscription_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE subscription_event FORCE ROW LEVEL SECURITY;
CREATE POLICY subscription_event_brand ON subscription_event
    USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

CREATE FUNCTION analytics_refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % never change; figures are recomputed from them', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER subscription_event_is_history BEFORE UPDATE OR DELETE ON subscription_event
    FOR EACH STATEMENT EXECUTE FUNCTION analytics_refuse_rewrite();

-- A projection of the log: deleted and written anew per customer whenever one of its events arrives.
CREATE TABLE movement (
    id              uuid PRIMARY KEY,
    brand_id        uuid        NOT NULL,
    account_id      uuid        NOT NULL,
    subscription_id uuid        NOT NULL,
    kind            text        NOT NULL CHECK (kind IN ('new', 'expansion', 'contraction', 'churn', 'reactivation')),
    currency        text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    delta_minor     bigint      NOT NULL,
    -- May lie ahead: the churn of a customer who does not pay by then.
    effective_at    timestamptz NOT NULL,
    CHECK (CASE kind WHEN 'churn' THEN delta_minor <= 0 WHEN 'contraction' THEN delta_minor < 0 ELSE delta_minor > 0 END)
);
CREATE INDEX movement_time ON movement (brand_id, effective_at, id);
CREATE INDEX movement_account ON movement (brand_id, account_id);
ALTER TABLE movement ENABLE ROW LEVEL SECURITY;
ALTER TABLE movement FORCE ROW LEVEL SECURITY;
CREATE POLICY movement_brand ON movement USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
