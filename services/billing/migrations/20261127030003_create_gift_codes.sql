-- Codes that are given away or sold, in batches. What a code is can be read once, when its batch is downloaded; here is a keyed
-- hash of it and its end.
CREATE TABLE gift_batch (
    id             uuid        PRIMARY KEY,
    brand_id       uuid        NOT NULL,
    entity_id      uuid        NOT NULL,
    name           text        NOT NULL CHECK (name <> ''),
    kind           text        NOT NULL CHECK (kind IN ('promotion', 'sold')),
    -- Money for the wallet, or a plan as it was sold then.
    gives          jsonb       NOT NULL,
    value_minor    bigint      NOT NULL CHECK (value_minor > 0),
    currency       text        NOT NULL CHECK (length(currency) = 3),
    count          integer     NOT NULL CHECK (count > 0),
    prefix         text        NOT NULL,
    -- 0: no limit.
    per_person_max integer     NOT NULL CHECK (per_person_max >= 0),
    expires_at     timestamptz,
    created_by     text        NOT NULL,
    created_at     timestamptz NOT NULL,
    voided_at      timestamptz,
    -- What the codes are derived from, sealed; gone once they were downloaded.
    seed_sealed    bytea,
    UNIQUE (brand_id, id)
);
ALTER TABLE gift_batch ENABLE ROW LEVEL SECURITY;
ALTER TABLE gift_batch FORCE ROW LEVEL SECURITY;
CREATE POLICY gift_batch_brand ON gift_batch USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

CREATE TABLE gift_code (
    id          uuid        PRIMARY KEY,
    brand_id    uuid        NOT NULL,
    batch_id    uuid        NOT NULL,
    code_hash   bytea       NOT NULL,
    last_four   text        NOT NULL CHECK (length(last_four) = 4),
    redeemed_by uuid,
    redeemed_at timestamptz,
    -- What came of it: the credit that was granted, or paid the order.
    credit_id   uuid,
    order_id    uuid,
    voided_at   timestamptz,
    FOREIGN KEY (brand_id, batch_id) REFERENCES gift_batch (brand_id, id),
    UNIQUE (brand_id, code_hash),
    CHECK ((redeemed_at IS NULL) = (redeemed_by IS NULL)),
    CHECK (redeemed_at IS NULL OR voided_at IS NULL)
);
CREATE INDEX gift_code_batch ON gift_code (brand_id, batch_id, id);
CREATE INDEX gift_code_redeemed ON gift_code (brand_id, redeemed_by, batch_id) WHERE redeemed_by IS NOT NULL;
ALTER TABLE gift_code ENABLE ROW LEVEL SECURITY;
ALTER TABLE gift_code FORCE ROW LEVEL SECURITY;
CREATE POLICY gift_code_brand ON gift_code USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
