-- Answers of calls made with an idempotency key, written in the transaction of the effect.
-- A platform table: anonymous and platform calls have no brand; the brand is part of the key instead.
CREATE TABLE idempotency (
    -- The nil UUID stands for "no brand".
    brand_id     uuid        NOT NULL,
    actor        text        NOT NULL,
    route        text        NOT NULL,
    key          text        NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash bytea       NOT NULL,
    state        text        NOT NULL CHECK (state IN ('started', 'done')),
    response     bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- A started row is somebody's work until then; afterwards it may be driven again.
    lease_until  timestamptz NOT NULL,
    PRIMARY KEY (brand_id, actor, route, key),
    CHECK (state = 'started' OR response IS NOT NULL)
);
CREATE INDEX idempotency_created ON idempotency (created_at);

-- Brands that run on a test clock, and what time it is for them. No row: the brand lives in real time.
CREATE TABLE brand_clock (
    brand_id   uuid        PRIMARY KEY,
    now        timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
