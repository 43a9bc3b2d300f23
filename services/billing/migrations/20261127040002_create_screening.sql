-- The fraud screen: what a brand wants of it, and what it said of each order.

-- No row: every order is accepted.
CREATE TABLE screen_rules (
    brand_id   uuid        PRIMARY KEY,
    content    jsonb       NOT NULL,
    version    bigint      NOT NULL CHECK (version >= 1),
    updated_at timestamptz NOT NULL
);

-- An order that was asked for, as it was seen. Networks are prefixes, never addresses; they, the country they are in and the browser's
-- hash are forgotten after `billing.screening.keep_days`.
CREATE TABLE screening (
    id              uuid        PRIMARY KEY,
    brand_id        uuid        NOT NULL,
    -- None when it was denied: there is no order then.
    order_id        uuid,
    account_id      uuid        NOT NULL,
    plan_name       text        NOT NULL,
    mail_domain     text        NOT NULL,
    billing_country text        NOT NULL,
    network_country text        NOT NULL,
    network         text        NOT NULL,
    device_hash     bytea       CHECK (length(device_hash) = 32),
    amount_minor    bigint      NOT NULL CHECK (amount_minor >= 0),
    currency        text        NOT NULL CHECK (length(currency) = 3),
    is_new          boolean     NOT NULL,
    reused          text        CHECK (reused IN ('email', 'device', 'card')),
    verdict         text        NOT NULL CHECK (verdict IN ('allow', 'review', 'deny')),
    hits            jsonb       NOT NULL,
    rules_version   bigint      NOT NULL,
    screened_at     timestamptz NOT NULL,
    -- What staff decided about one that was reviewed.
    decision        text        CHECK (decision IN ('approved', 'declined')),
    decided_by      text        NOT NULL DEFAULT '',
    decided_at      timestamptz,
    note            text        NOT NULL DEFAULT '',
    CHECK ((verdict = 'deny') = (order_id IS NULL)),
    CHECK ((decision IS NULL) = (decided_at IS NULL))
);
CREATE UNIQUE INDEX screening_order ON screening (brand_id, order_id) WHERE order_id IS NOT NULL;
CREATE INDEX screening_newest ON screening (brand_id, id DESC);
CREATE INDEX screening_account ON screening (brand_id, account_id, screened_at);
CREATE INDEX screening_device ON screening (brand_id, device_hash, screened_at) WHERE device_hash IS NOT NULL;
CREATE INDEX screening_network ON screening (brand_id, network, screened_at) WHERE network <> '';
CREATE INDEX screening_kept ON screening (brand_id, screened_at) WHERE network <> '' OR network_country <> '' OR device_hash IS NOT NULL;
CREATE INDEX trial_claim_subscription ON trial_claim (brand_id, subscription_id);
CREATE INDEX account_card_hash ON account_card (brand_id, hash);

ALTER TABLE orders DROP CONSTRAINT orders_state_check;
ALTER TABLE orders ADD CONSTRAINT orders_state_check
    CHECK (state IN ('under_review', 'awaiting_payment', 'paid', 'cancelled'));
CREATE INDEX orders_under_review ON orders (brand_id, id) WHERE state = 'under_review';

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['screen_rules', 'screening'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;
