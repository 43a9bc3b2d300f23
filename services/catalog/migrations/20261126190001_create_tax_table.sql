-- What is taxed where: all rules of the brand's legal entity, replaced together.
CREATE TABLE tax_table (
    brand_id   uuid        PRIMARY KEY REFERENCES brand (id),
    -- Validated domain values (domain::tax::Rule), in their order.
    rules      jsonb       NOT NULL,
    version    bigint      NOT NULL CHECK (version > 0),
    updated_at timestamptz NOT NULL
);
ALTER TABLE tax_table ENABLE ROW LEVEL SECURITY;
ALTER TABLE tax_table FORCE ROW LEVEL SECURITY;
CREATE POLICY tax_table_brand ON tax_table USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
