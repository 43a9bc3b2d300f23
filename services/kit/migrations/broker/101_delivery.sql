-- The in-process broker: who listens to what, and one row per (event, consumer) until it is acknowledged.
CREATE TABLE binding (
    consumer text NOT NULL,
    pattern  text NOT NULL,
    PRIMARY KEY (consumer, pattern)
);

CREATE TABLE delivery (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer    text        NOT NULL,
    envelope    bytea       NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
CREATE INDEX delivery_consumer ON delivery (consumer, id);
