-- Streaming panels of a brand. What a person enters and what the health worker saw are in one row, because they are
-- always read together; `version` counts what people enter, `event_version` orders the events.
CREATE TABLE panel (
    id                  uuid PRIMARY KEY,
    brand_id            uuid        NOT NULL,
    name                text        NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    driver              text        NOT NULL CHECK (driver IN ('xui', 'xui-reseller')),
    base_url            text        NOT NULL,
    player_url          text        NOT NULL,
    region              text        NOT NULL,
    pool                text        NOT NULL,
    -- 0: no limit.
    capacity            integer     NOT NULL CHECK (capacity >= 0),
    rate_per_second     double precision NOT NULL CHECK (rate_per_second > 0),
    concurrency         integer     NOT NULL CHECK (concurrency BETWEEN 1 AND 64),
    enabled             boolean     NOT NULL,
    sandbox             boolean     NOT NULL,
    sandbox_control_url text        NOT NULL,
    time_zone           text        NOT NULL,
    api_key_sealed      bytea       NOT NULL,
    api_key_hint        text        NOT NULL,
    -- Names the pair of address and key without revealing it: calls of one key share limits and breaker.
    key_id              uuid        NOT NULL,
    version             bigint      NOT NULL,
    event_version       bigint      NOT NULL DEFAULT 0,

    health              text        NOT NULL DEFAULT 'unknown' CHECK (health IN ('unknown', 'healthy', 'degraded', 'down')),
    problem_code        text        NOT NULL DEFAULT '',
    problem             text        NOT NULL DEFAULT '',
    remedy              text        NOT NULL DEFAULT '',
    checked_at          timestamptz,
    credits             text        NOT NULL DEFAULT '',
    clock_skew_ms       bigint      NOT NULL DEFAULT 0,
    -- The brand's test clock as the simulated panel should have it, and as it was told last.
    clock_wanted        timestamptz,
    clock_told          timestamptz,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    UNIQUE (brand_id, name)
);
ALTER TABLE panel ENABLE ROW LEVEL SECURITY;
ALTER TABLE panel FORCE ROW LEVEL SECURITY;
CREATE POLICY brand ON panel USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
CREATE INDEX panel_order ON panel (brand_id, created_at DESC, id DESC);

-- Lines that are on a panel or on their way to it. Apart from `panel`, because it changes with every order.
CREATE TABLE panel_load (
    panel_id uuid    PRIMARY KEY REFERENCES panel (id) ON DELETE CASCADE,
    brand_id uuid    NOT NULL,
    lines    integer NOT NULL DEFAULT 0 CHECK (lines >= 0)
) WITH (fillfactor = 50);
ALTER TABLE panel_load ENABLE ROW LEVEL SECURITY;
ALTER TABLE panel_load FORCE ROW LEVEL SECURITY;
CREATE POLICY brand ON panel_load USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- When each panel is to be looked at, over all brands. A platform table: the health worker claims from it and then
-- works in one brand.
CREATE TABLE panel_due (
    panel_id    uuid        PRIMARY KEY,
    brand_id    uuid        NOT NULL,
    probe_at    timestamptz NOT NULL DEFAULT now(),
    drift_at    timestamptz NOT NULL,
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE INDEX panel_due_at ON panel_due (probe_at);

-- The one writer of a key that spends credits: panels read a balance, subtract and write it back, so two writers at
-- once would lose a charge.
CREATE TABLE key_writer (
    key_id      uuid        PRIMARY KEY,
    owner       uuid        NOT NULL,
    lease_until timestamptz NOT NULL
);
