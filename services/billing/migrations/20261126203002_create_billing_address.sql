-- Where invoices of a customer go, and what is known of the VAT number in it.
CREATE TABLE billing_address (
    brand_id   uuid        NOT NULL,
    account_id uuid        NOT NULL,
    -- domain::address::Address
    content    jsonb       NOT NULL,
    -- Who said so last: the evidence of where the customer is. Older ones are in the audit chain.
    source     text        NOT NULL CHECK (source IN ('order', 'customer', 'staff')),
    -- domain::vat::Standing; none without a VAT number.
    standing   jsonb,
    version    bigint      NOT NULL CHECK (version > 0),
    updated_at timestamptz NOT NULL,
    CHECK ((content ->> 'vat_number' = '') = (standing IS NULL)),
    PRIMARY KEY (brand_id, account_id)
);

-- Every question about a VAT number and its answer, kept as proof. Instants are the brand's time.
CREATE TABLE vat_check (
    id         uuid        PRIMARY KEY,
    brand_id   uuid        NOT NULL,
    account_id uuid        NOT NULL,
    number     text        NOT NULL,
    asked_at   timestamptz NOT NULL,
    decided_at timestamptz,
    is_valid   boolean,
    -- The service, or the member of staff, and what they call their answer.
    validator  text        NOT NULL DEFAULT '',
    reference  text        NOT NULL DEFAULT '',
    name       text        NOT NULL DEFAULT '',
    address    text        NOT NULL DEFAULT '',
    CHECK ((decided_at IS NULL) = (is_valid IS NULL))
);
CREATE INDEX vat_check_account ON vat_check (brand_id, account_id, id DESC);

-- The workers of payments ask validation services as well.
ALTER TABLE errand DROP CONSTRAINT errand_kind_check;
ALTER TABLE errand ADD CONSTRAINT errand_kind_check CHECK (kind IN ('payment', 'refund', 'vat_check'));

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['billing_address', 'vat_check'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;
