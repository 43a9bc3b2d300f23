CREATE TABLE thing (
    id       uuid PRIMARY KEY,
    brand_id uuid NOT NULL
);
ALTER TABLE thing ENABLE ROW LEVEL SECURITY;
ALTER TABLE thing FORCE ROW LEVEL SECURITY;
CREATE POLICY brand ON thing USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
