-- Events of this service, written in the transaction of the change they tell of and sent by the relay.
--
-- A platform table: the relay works for every brand at once, so there is no row-level security here. Partitioned by
-- `appended_at` (database time) and not by `occurred_at`, which for a brand on a test clock may lie years ahead.
CREATE TABLE outbox (
    seq               bigint GENERATED ALWAYS AS IDENTITY,
    appended_at       timestamptz NOT NULL DEFAULT now(),
    event_id          uuid        NOT NULL,
    shard             smallint    NOT NULL CHECK (shard BETWEEN 0 AND 15),
    kind              text        NOT NULL CHECK (length(kind) <= 200 AND kind ~ '^[a-z0-9_]+(\.[a-z0-9_]+)+\.v[0-9]+$'),
    aggregate_id      text        NOT NULL,
    -- Grows by one per event of the aggregate; 0 = the event has no place in an order.
    aggregate_version bigint      NOT NULL CHECK (aggregate_version >= 0),
    brand_id          uuid,
    occurred_at       timestamptz NOT NULL,
    causation_id      text        NOT NULL DEFAULT '',
    correlation_id    text        NOT NULL DEFAULT '',
    traceparent       text        NOT NULL DEFAULT '',
    -- A hint: nobody has to listen. When no queue is bound it counts as sent instead of being kept.
    optional          boolean     NOT NULL DEFAULT false,
    payload           bytea       NOT NULL,
    sent_at           timestamptz,
    PRIMARY KEY (seq, appended_at)
) PARTITION BY RANGE (appended_at);

CREATE TABLE outbox_default PARTITION OF outbox DEFAULT;
SELECT ottery_ensure_partitions('outbox', 'appended_at', 3);

-- Sent rows leave this index, so finding work costs the same after a billion events.
CREATE INDEX outbox_unsent ON outbox (seq) WHERE sent_at IS NULL;
CREATE INDEX outbox_unsent_brand ON outbox (brand_id) WHERE sent_at IS NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;

-- One fenced lease per shard. `token` grows with every change of hands and is checked when rows are marked as sent.
CREATE TABLE relay_lease (
    shard       smallint    PRIMARY KEY,
    owner       text,
    token       bigint      NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO relay_lease (shard) SELECT generate_series(0, 15);

-- Relays that are alive; each takes its share of the shards.
CREATE TABLE relay_member (
    owner      text PRIMARY KEY,
    seen_until timestamptz NOT NULL
);

-- Leases by name for workers of which one is enough (pruning, snapshots).
CREATE TABLE worker_lease (
    name        text PRIMARY KEY,
    owner       text,
    token       bigint      NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
);
