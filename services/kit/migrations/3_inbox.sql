-- Events a consumer has handled; the mark is written in the transaction of the effect.
--
-- Platform tables, without row-level security: a consumer group serves all brands, and a mark holds no brand data.
-- The partition key comes from the envelope and is the same for every redelivery, so uniqueness holds across partitions.
CREATE TABLE inbox (
    consumer    text        NOT NULL,
    event_id    uuid        NOT NULL,
    occurred_at timestamptz NOT NULL,
    handled_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id, occurred_at)
) PARTITION BY RANGE (occurred_at);

CREATE TABLE inbox_default PARTITION OF inbox DEFAULT;
SELECT ottery_ensure_partitions('inbox', 'occurred_at', 3);
CREATE INDEX inbox_handled ON inbox (handled_at);

-- Last version a consumer applied of each aggregate.
CREATE TABLE seen_version (
    consumer     text   NOT NULL,
    aggregate_id text   NOT NULL,
    version      bigint NOT NULL,
    PRIMARY KEY (consumer, aggregate_id)
);

-- Deliveries that failed: waiting for their next attempt, or parked for a person.
CREATE TABLE retry_delivery (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer          text        NOT NULL,
    event_id          uuid        NOT NULL,
    kind              text        NOT NULL,
    aggregate_id      text        NOT NULL,
    aggregate_version bigint      NOT NULL,
    brand_id          uuid,
    occurred_at       timestamptz NOT NULL,
    -- The message as it came from the broker.
    envelope          bytea       NOT NULL,
    state             text        NOT NULL CHECK (state IN ('waiting', 'parked', 'discarded')),
    reason            text        NOT NULL CHECK (reason IN ('transient', 'permanent', 'gap', 'held', 'undecodable', 'crashed')),
    attempts          integer     NOT NULL DEFAULT 0,
    error             text        NOT NULL DEFAULT '',
    due_at            timestamptz NOT NULL DEFAULT now(),
    failed_at         timestamptz NOT NULL DEFAULT now(),
    parked_at         timestamptz,
    closed_by         text,
    closed_reason     text,
    UNIQUE (consumer, event_id)
);
CREATE INDEX retry_delivery_due ON retry_delivery (due_at) WHERE state = 'waiting';
CREATE INDEX retry_delivery_order ON retry_delivery (consumer, aggregate_id, id) WHERE state = 'waiting';
CREATE INDEX retry_delivery_parked ON retry_delivery (id DESC) WHERE state = 'parked';
