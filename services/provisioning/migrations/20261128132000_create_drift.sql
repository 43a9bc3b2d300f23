-- Differences between panels and what is wanted there. One row per panel, kind and subject as long as somebody sees it: `subject` is the
-- service's id or, for a stranger, the line's. `wanted` and `observed` are words for people, without passwords.
CREATE TABLE drift (
    id             uuid PRIMARY KEY,
    brand_id       uuid        NOT NULL,
    panel_id       uuid        NOT NULL REFERENCES panel (id) ON DELETE CASCADE,
    kind           text        NOT NULL CHECK (kind IN ('unpaid_served', 'paid_dead', 'expiry', 'package', 'connections', 'stranger')),
    subject        text        NOT NULL,
    service_id     uuid        REFERENCES service (id),
    account_id     text        NOT NULL DEFAULT '',
    line_id        text        NOT NULL DEFAULT '',
    username       text        NOT NULL DEFAULT '',
    wanted         text        NOT NULL,
    observed       text        NOT NULL,
    wanted_version bigint      NOT NULL DEFAULT 0,
    state          text        NOT NULL CHECK (state IN ('open', 'repaired', 'adopted', 'ignored', 'gone')),
    returns        integer     NOT NULL DEFAULT 0,
    -- The scan that saw it last.
    scan           bigint      NOT NULL,
    first_seen_at  timestamptz NOT NULL,
    last_seen_at   timestamptz NOT NULL,
    decided_at     timestamptz,
    decided_by     text        NOT NULL DEFAULT '',
    reason         text        NOT NULL DEFAULT '',
    -- Set when a scan looks for it and finds it no more.
    closed_at      timestamptz,
    CHECK ((kind = 'stranger') = (service_id IS NULL)),
    CHECK (state <> 'gone' OR closed_at IS NOT NULL)
);
ALTER TABLE drift ENABLE ROW LEVEL SECURITY;
ALTER TABLE drift FORCE ROW LEVEL SECURITY;
CREATE POLICY brand ON drift USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
CREATE UNIQUE INDEX drift_seen_now ON drift (panel_id, kind, subject) WHERE closed_at IS NULL;
CREATE INDEX drift_order ON drift (brand_id, first_seen_at DESC, id DESC);
CREATE INDEX drift_service ON drift (service_id) WHERE service_id IS NOT NULL;

-- What is done with differences of a kind; the nil panel is every panel of the brand without a rule of its own.
CREATE TABLE drift_rule (
    brand_id   uuid        NOT NULL,
    panel_id   uuid        NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('unpaid_served', 'paid_dead', 'expiry', 'package', 'connections', 'stranger')),
    action     text        NOT NULL CHECK (action IN ('repair', 'adopt', 'ignore', 'ask')),
    updated_by text        NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (brand_id, panel_id, kind),
    -- Nothing is deleted on a panel because nobody here knows it.
    CHECK (kind <> 'stranger' OR action <> 'repair')
);
ALTER TABLE drift_rule ENABLE ROW LEVEL SECURITY;
ALTER TABLE drift_rule FORCE ROW LEVEL SECURITY;
CREATE POLICY brand ON drift_rule USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- How far the comparison of a panel got, written with every page, so that whoever takes it over goes on there.
CREATE TABLE drift_scan (
    panel_id      uuid        PRIMARY KEY REFERENCES panel (id) ON DELETE CASCADE,
    brand_id      uuid        NOT NULL,
    -- Counts the panel's scans.
    scan          bigint      NOT NULL,
    -- Counts what was written of it: whoever lost the lease to somebody else writes nothing any more.
    turn          bigint      NOT NULL DEFAULT 0,
    phase         text        NOT NULL CHECK (phase IN ('list', 'own', 'close', 'done')),
    -- The panel's page in `list`, and the last line of the page before, which must not come again.
    next_cursor   bigint,
    last_line     text        NOT NULL DEFAULT '',
    -- The last of our services in `own`, of our differences in `close`.
    after         uuid,
    pages         integer     NOT NULL DEFAULT 0,
    lines         integer     NOT NULL DEFAULT 0,
    problem_code  text        NOT NULL DEFAULT '',
    problem       text        NOT NULL DEFAULT '',
    remedy        text        NOT NULL DEFAULT '',
    began_at      timestamptz NOT NULL,
    ended_at      timestamptz
);
ALTER TABLE drift_scan ENABLE ROW LEVEL SECURITY;
ALTER TABLE drift_scan FORCE ROW LEVEL SECURITY;
CREATE POLICY brand ON drift_scan USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- Services whose line a scan has met, so that the others can be asked for one by one.
CREATE TABLE drift_met (
    service_id uuid   PRIMARY KEY REFERENCES service (id) ON DELETE CASCADE,
    brand_id   uuid   NOT NULL,
    panel_id   uuid   NOT NULL,
    scan       bigint NOT NULL
) WITH (fillfactor = 70);
ALTER TABLE drift_met ENABLE ROW LEVEL SECURITY;
ALTER TABLE drift_met FORCE ROW LEVEL SECURITY;
CREATE POLICY brand ON drift_met USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- Scans have a lease of their own: a long one must not keep the panel's health from being looked at.
ALTER TABLE panel_due ADD COLUMN drift_lease_until timestamptz NOT NULL DEFAULT '-infinity';
CREATE INDEX panel_due_drift_at ON panel_due (drift_at);
CREATE INDEX service_line ON service (panel_id, line_id) WHERE line_id IS NOT NULL;
