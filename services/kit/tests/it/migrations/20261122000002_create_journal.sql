-- A partitioned table of a tenant, walled like those of services: at its parent only.
CREATE TABLE journal (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    brand_id uuid        NOT NULL,
    at       timestamptz NOT NULL,
    note     text        NOT NULL DEFAULT '' CHECK (length(note) < 100),
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE TABLE journal_default PARTITION OF journal DEFAULT;
SELECT ottery_ensure_partitions('journal', 'at', 3);
CREATE INDEX journal_newest ON journal (brand_id, id DESC);
ALTER TABLE journal ENABLE ROW LEVEL SECURITY;
ALTER TABLE journal FORCE ROW LEVEL SECURITY;
CREATE POLICY journal_brand ON journal USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
