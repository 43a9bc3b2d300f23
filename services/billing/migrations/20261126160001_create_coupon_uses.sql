-- Coupons: who uses which, and what is left of one. What a coupon says is the catalogue's; a subscription keeps what it said.

-- How often a coupon is used; the row is the lock on its last use.
CREATE TABLE coupon_counter (
    coupon_id uuid   PRIMARY KEY,
    brand_id  uuid   NOT NULL,
    uses      bigint NOT NULL CHECK (uses >= 0)
);

-- A use: taken with the order (or the change of plan), given back when nothing came of it.
CREATE TABLE redemption (
    id              uuid        PRIMARY KEY,
    brand_id        uuid        NOT NULL,
    coupon_id       uuid        NOT NULL REFERENCES coupon_counter (coupon_id),
    account_id      uuid        NOT NULL,
    subscription_id uuid        NOT NULL,
    taken_at        timestamptz NOT NULL,
    released_at     timestamptz
);
CREATE INDEX redemption_account ON redemption (brand_id, coupon_id, account_id) WHERE released_at IS NULL;

-- The coupon a subscription has and what it took off the paid periods that are not over; empty without any.
ALTER TABLE subscription ADD COLUMN discounts jsonb;

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['coupon_counter', 'redemption'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;
