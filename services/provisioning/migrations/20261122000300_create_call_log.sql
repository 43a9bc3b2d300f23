-- Every call that changes something on a panel, and every look at what became of one: written before it is sent.
-- Requests and replies are redacted summaries; no key and no password ever gets here.
CREATE TABLE call_log (
    id          uuid        NOT NULL,
    brand_id    uuid        NOT NULL,
    service_id  uuid        NOT NULL,
    panel_id    uuid        NOT NULL,
    action      text        NOT NULL,
    state       text        NOT NULL CHECK (state IN ('planned', 'sent', 'confirmed', 'rejected', 'unknown')),
    outcome     text        NOT NULL DEFAULT '',
    duration_ms integer     NOT NULL DEFAULT 0,
    request     text        NOT NULL DEFAULT '',
    reply       text        NOT NULL DEFAULT '',
    trace_id    text        NOT NULL DEFAULT '',
    -- Database time: a brand's test clock must not scatter partitions.
    started_at  timestamptz NOT NULL,
    PRIMARY KEY (id, started_at)
) PARTITION BY RANGE (started_at);
CREATE TABLE call_log_default PARTITION OF call_log DEFAULT;
SELECT ottery_ensure_partitions('call_log', 'started_at', 3);
ALTER TABLE call_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE call_log FORCE ROW LEVEL SECURITY;
-- Partitions are tables too: asked by their own name they must show no more.
DO $$ DECLARE part regclass; BEGIN
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'call_log'::regclass LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', part);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', part);
        EXECUTE format('CREATE POLICY brand ON %s USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())', part);
    END LOOP;
END $$;
CREATE POLICY brand ON call_log USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
CREATE INDEX call_log_service ON call_log (brand_id, service_id, started_at DESC, id DESC);
CREATE INDEX call_log_panel ON call_log (brand_id, panel_id, started_at DESC, id DESC);

-- Things that wait for a person. One open task per (kind, subject).
CREATE TABLE task (
    id         uuid PRIMARY KEY,
    brand_id   uuid        NOT NULL,
    kind       text        NOT NULL,
    service_id uuid,
    panel_id   uuid,
    summary    text        NOT NULL,
    remedy     text        NOT NULL,
    created_at timestamptz NOT NULL,
    closed_at  timestamptz
);
ALTER TABLE task ENABLE ROW LEVEL SECURITY;
ALTER TABLE task FORCE ROW LEVEL SECURITY;
CREATE POLICY brand ON task USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
CREATE UNIQUE INDEX task_open ON task (brand_id, kind, coalesce(service_id, panel_id)) WHERE closed_at IS NULL;
CREATE INDEX task_order ON task (brand_id, created_at DESC, id DESC) WHERE closed_at IS NULL;
