-- What a subscription is entitled to, and what its panel was last seen to have.
CREATE TABLE service (
    id                uuid PRIMARY KEY,
    brand_id          uuid        NOT NULL,
    subscription_id   uuid        NOT NULL UNIQUE,
    account_id        text        NOT NULL,
    order_id          text        NOT NULL,
    email             text        NOT NULL,
    locale            text        NOT NULL,
    plan_name         text        NOT NULL,

    -- Wanted: the newest state that arrived, whole.
    wanted            text        NOT NULL CHECK (wanted IN ('active', 'suspended', 'terminated')),
    wanted_version    bigint      NOT NULL,
    connections       integer     NOT NULL CHECK (connections > 0),
    bouquets          bigint[]    NOT NULL,
    outputs           text[]      NOT NULL,
    package           bigint,
    pool              text        NOT NULL,
    region            text        NOT NULL,
    paid_through      timestamptz NOT NULL,
    trial             boolean     NOT NULL,

    -- Chosen by us, before the first call.
    panel_id          uuid        REFERENCES panel (id),
    username          text        NOT NULL DEFAULT '',
    password_sealed   bytea,
    candidate         integer     NOT NULL DEFAULT 0,

    -- Observed: as the panel last answered.
    line_fact         text        NOT NULL DEFAULT 'never' CHECK (line_fact IN ('never', 'seen', 'missing', 'removed')),
    line_id           text,
    line_expires_at   timestamptz,
    line_enabled      boolean     NOT NULL DEFAULT false,
    line_banned       boolean     NOT NULL DEFAULT false,
    line_connections  integer     NOT NULL DEFAULT 0,
    line_bouquets     bigint[]    NOT NULL DEFAULT '{}',
    line_outputs      text[]      NOT NULL DEFAULT '{}',
    line_package      bigint,
    covered_through   timestamptz,
    observed_version  bigint      NOT NULL DEFAULT 0,
    observed_at       timestamptz,
    -- A lost call may still be applied late; then the line is looked at once more.
    verify_at         timestamptz,

    -- The call whose outcome is open; the whole journal is in call_log.
    open_call         uuid,
    open_started_at   timestamptz,
    open_kind         text,
    open_state        text        CHECK (open_state IN ('planned', 'unknown')),
    open_sent_at      timestamptz,
    open_absent_at    timestamptz,
    open_expiry       timestamptz,
    open_credits      text,

    step              text        NOT NULL,
    status_code       text        NOT NULL DEFAULT '',
    refused_version   bigint,
    refused_code      text        NOT NULL DEFAULT '',
    attempts          integer     NOT NULL DEFAULT 0,
    -- A person was asked about it and the task is still open.
    has_task          boolean     NOT NULL DEFAULT false,
    ready_at          timestamptz,
    -- Where the wanted state came from, so that one trace and one chain of causes lead to the panel and on to the mail.
    traceparent       text        NOT NULL DEFAULT '',
    causation_id      text        NOT NULL DEFAULT '',
    correlation_id    text        NOT NULL DEFAULT '',
    version           bigint      NOT NULL DEFAULT 0,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    CHECK (observed_version <= wanted_version),
    CHECK ((line_fact = 'seen') = (line_id IS NOT NULL)),
    CHECK ((open_call IS NULL) = (open_kind IS NULL AND open_state IS NULL AND open_started_at IS NULL))
) WITH (fillfactor = 60);
ALTER TABLE service ENABLE ROW LEVEL SECURITY;
ALTER TABLE service FORCE ROW LEVEL SECURITY;
CREATE POLICY brand ON service USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
CREATE INDEX service_order ON service (brand_id, created_at DESC, id DESC);
CREATE INDEX service_account ON service (brand_id, account_id);
CREATE INDEX service_of_order ON service (brand_id, order_id);
CREATE INDEX service_panel ON service (panel_id) WHERE panel_id IS NOT NULL;
-- Two of our lines never share a name on a panel.
CREATE UNIQUE INDEX service_line_name ON service (panel_id, username) WHERE username <> '' AND line_fact <> 'removed';

-- Services with something to do, over all brands. A platform table: workers of every replica claim from it, then work
-- in one brand. `due_at` NULL: nothing to do. Times are the database's.
CREATE TABLE reconcile_due (
    service_id     uuid        PRIMARY KEY,
    brand_id       uuid        NOT NULL,
    key_id         uuid,
    wanted_version bigint      NOT NULL,
    due_at         timestamptz DEFAULT now(),
    lease_until    timestamptz NOT NULL DEFAULT '-infinity',
    -- Grows with every claim; whoever lost it writes nothing any more.
    fence          bigint      NOT NULL DEFAULT 0,
    -- The planned call that was really sent; survives a crash between sending and writing down the answer.
    sent_call      uuid
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
CREATE INDEX reconcile_due_at ON reconcile_due (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX reconcile_due_brand ON reconcile_due (brand_id) WHERE due_at IS NOT NULL;
CREATE INDEX reconcile_due_key ON reconcile_due (key_id) WHERE due_at IS NOT NULL;
