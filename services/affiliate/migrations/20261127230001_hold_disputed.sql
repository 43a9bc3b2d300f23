-- Objections of cardholders by invoice, in the newest version that was heard of, also before the commission they hold.
CREATE TABLE dispute (
    brand_id            uuid    NOT NULL,
    dispute_id          uuid    NOT NULL,
    invoice_id          uuid    NOT NULL,
    version             bigint  NOT NULL CHECK (version > 0),
    is_open             boolean NOT NULL,
    lost_minor          bigint  NOT NULL CHECK (lost_minor >= 0),
    invoice_total_minor bigint  NOT NULL CHECK (invoice_total_minor > 0),
    PRIMARY KEY (brand_id, dispute_id, invoice_id),
    CHECK (NOT is_open OR lost_minor = 0)
);
CREATE INDEX dispute_invoice ON dispute (brand_id, invoice_id);
ALTER TABLE dispute ENABLE ROW LEVEL SECURITY;
ALTER TABLE dispute FORCE ROW LEVEL SECURITY;
CREATE POLICY dispute_brand ON dispute USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- A held commission is not due, whatever its hold window says.
ALTER TABLE commission ADD COLUMN is_held boolean NOT NULL DEFAULT false CHECK (NOT is_held OR state = 'pending');
