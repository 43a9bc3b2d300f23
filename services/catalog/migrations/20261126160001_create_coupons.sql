-- What takes something off for whoever knows its code. How often one was used is billing's to know: it takes the uses.
CREATE TABLE coupon (
    id         uuid PRIMARY KEY,
    brand_id   uuid        NOT NULL REFERENCES brand (id),
    -- Canonical: upper case.
    code       text        NOT NULL CHECK (code ~ '^[A-Z0-9][A-Z0-9_-]{1,30}[A-Z0-9]$'),
    -- Validated domain value (domain::coupon::Content).
    content    jsonb       NOT NULL,
    state      text        NOT NULL CHECK (state IN ('enabled', 'archived')),
    version    bigint      NOT NULL CHECK (version > 0),
    created_at timestamptz NOT NULL
);
-- An archived coupon gives its code back.
CREATE UNIQUE INDEX coupon_code ON coupon (brand_id, code) WHERE state = 'enabled';
CREATE INDEX coupon_newest ON coupon (brand_id, id DESC);
ALTER TABLE coupon ENABLE ROW LEVEL SECURITY;
ALTER TABLE coupon FORCE ROW LEVEL SECURITY;
CREATE POLICY coupon_brand ON coupon USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
