ALTER TABLE dispute ADD UNIQUE (brand_id, id);

-- Refunds that are what an objection gave back, at a provider that tells of the same money twice.
CREATE TABLE dispute_refund (
    brand_id     uuid        NOT NULL,
    payment_id   uuid        NOT NULL,
    -- The provider's id of the refund.
    provider_ref text        NOT NULL CHECK (provider_ref <> ''),
    dispute_id   uuid        NOT NULL,
    -- The refund it is booked as; NULL: what the objection took holds it, and no refund does.
    refund_id    uuid,
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (brand_id, payment_id, provider_ref),
    FOREIGN KEY (brand_id, payment_id) REFERENCES payment (brand_id, id),
    FOREIGN KEY (brand_id, dispute_id) REFERENCES dispute (brand_id, id)
);
ALTER TABLE dispute_refund ENABLE ROW LEVEL SECURITY;
ALTER TABLE dispute_refund FORCE ROW LEVEL SECURITY;
CREATE POLICY dispute_refund_brand ON dispute_refund USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
