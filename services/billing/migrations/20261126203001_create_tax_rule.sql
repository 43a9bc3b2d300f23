-- Tax rules as the catalogue last told them; the version keeps an older telling from replacing a newer one.
CREATE TABLE tax_table (
    brand_id uuid   PRIMARY KEY,
    version  bigint NOT NULL
);

-- All rules of one country (domain::tax::Rule), in the catalogue's order.
CREATE TABLE tax_rule (
    brand_id uuid  NOT NULL,
    country  text  NOT NULL CHECK (length(country) = 2),
    rules    jsonb NOT NULL,
    PRIMARY KEY (brand_id, country)
);

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['tax_table', 'tax_rule'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;
