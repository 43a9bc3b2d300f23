-- One attempt for several invoices: what it is meant to pay of each. An attempt for one invoice has no rows here.
CREATE TABLE payment_share (
    brand_id     uuid    NOT NULL,
    payment_id   uuid    NOT NULL,
    invoice_id   uuid    NOT NULL,
    -- In which order they are paid when less arrives than was asked for.
    position     integer NOT NULL CHECK (position >= 0),
    amount_minor bigint  NOT NULL CHECK (amount_minor > 0),
    PRIMARY KEY (brand_id, payment_id, invoice_id),
    FOREIGN KEY (brand_id, payment_id) REFERENCES payment (brand_id, id),
    FOREIGN KEY (brand_id, invoice_id) REFERENCES invoice (brand_id, id)
);
CREATE INDEX payment_share_invoice ON payment_share (brand_id, invoice_id);

ALTER TABLE payment_share ENABLE ROW LEVEL SECURITY;
ALTER TABLE payment_share FORCE ROW LEVEL SECURITY;
CREATE POLICY payment_share_brand ON payment_share USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
