-- Plans of which only so many can be ordered. How many is the catalogue's to say; who took one is written here.

-- How many are taken; the row is the lock on the last one.
CREATE TABLE stock_counter (
    plan_id  uuid   PRIMARY KEY,
    brand_id uuid   NOT NULL,
    taken    bigint NOT NULL CHECK (taken >= 0)
);

-- One that is taken: with the order, given back when the order is given up. What was paid once stays sold.
CREATE TABLE stock_hold (
    subscription_id uuid        NOT NULL,
    plan_id         uuid        NOT NULL REFERENCES stock_counter (plan_id),
    brand_id        uuid        NOT NULL,
    taken_at        timestamptz NOT NULL,
    released_at     timestamptz,
    PRIMARY KEY (subscription_id, plan_id)
);

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['stock_counter', 'stock_hold'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;
