-- What handlers of the tests have done; a tenant table like any service's.
CREATE TABLE effect (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand_id     uuid   NOT NULL,
    consumer     text   NOT NULL,
    aggregate_id text   NOT NULL,
    version      bigint NOT NULL,
    event_id     uuid   NOT NULL
);
ALTER TABLE effect ENABLE ROW LEVEL SECURITY;
ALTER TABLE effect FORCE ROW LEVEL SECURITY;
CREATE POLICY brand ON effect USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- State built from events that say everything.
CREATE TABLE state (
    brand_id     uuid   NOT NULL,
    aggregate_id text   NOT NULL,
    version      bigint NOT NULL,
    total        bigint NOT NULL,
    PRIMARY KEY (brand_id, aggregate_id)
);
ALTER TABLE state ENABLE ROW LEVEL SECURITY;
ALTER TABLE state FORCE ROW LEVEL SECURITY;
CREATE POLICY brand ON state USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
