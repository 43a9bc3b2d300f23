-- What a brand chose about its invoices; no row: the defaults.
CREATE TABLE invoice_rules (
    brand_id       uuid        PRIMARY KEY,
    -- Of an open renewal whose period had begun when its subscription ends.
    unpaid_at_end  text        NOT NULL CHECK (unpaid_at_end IN ('void', 'write_off')),
    -- Time in which staff had a subscription suspended and nothing of it was paid.
    bills_time_off boolean     NOT NULL,
    version        bigint      NOT NULL CHECK (version >= 1),
    updated_at     timestamptz NOT NULL
);
ALTER TABLE invoice_rules ENABLE ROW LEVEL SECURITY;
ALTER TABLE invoice_rules FORCE ROW LEVEL SECURITY;
CREATE POLICY invoice_rules_brand ON invoice_rules USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
