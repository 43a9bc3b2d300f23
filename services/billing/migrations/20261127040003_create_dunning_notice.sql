-- What customers read about a debt in their account: one row per step that says it there.
CREATE TABLE dunning_notice (
    brand_id        uuid        NOT NULL,
    invoice_id      uuid        NOT NULL,
    step            integer     NOT NULL CHECK (step >= 1),
    subscription_id uuid        NOT NULL,
    plan_name       text        NOT NULL,
    shown_from      timestamptz NOT NULL,
    dismissed_at    timestamptz,
    PRIMARY KEY (brand_id, invoice_id, step),
    FOREIGN KEY (brand_id, invoice_id) REFERENCES invoice (brand_id, id)
);
ALTER TABLE dunning_notice ENABLE ROW LEVEL SECURITY;
ALTER TABLE dunning_notice FORCE ROW LEVEL SECURITY;
CREATE POLICY dunning_notice_brand ON dunning_notice USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
