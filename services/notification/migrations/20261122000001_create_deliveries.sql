-- What mails of a brand look like and come from: the newest state of `catalog.brand.changed.v1`.
CREATE TABLE brand_profile (
    brand_id       uuid PRIMARY KEY,
    version        bigint NOT NULL,
    name           text   NOT NULL,
    -- First host of the brand, without a port: where links lead.
    host           text   NOT NULL,
    default_locale text   NOT NULL,
    time_zone      text   NOT NULL,
    sender_email   text   NOT NULL,
    support_email  text   NOT NULL,
    tokens         jsonb  NOT NULL,
    logo           text   NOT NULL
);
ALTER TABLE brand_profile ENABLE ROW LEVEL SECURITY;
ALTER TABLE brand_profile FORCE ROW LEVEL SECURITY;
CREATE POLICY brand_profile_brand ON brand_profile USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- A brand's own wording; what is not here is embedded in the program.
CREATE TABLE template (
    brand_id   uuid        NOT NULL,
    name       text        NOT NULL,
    locale     text        NOT NULL,
    subject    text        NOT NULL,
    body_text  text        NOT NULL,
    body_html  text        NOT NULL,
    version    bigint      NOT NULL CHECK (version > 0),
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (brand_id, name, locale)
);
ALTER TABLE template ENABLE ROW LEVEL SECURITY;
ALTER TABLE template FORCE ROW LEVEL SECURITY;
CREATE POLICY template_brand ON template USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- One mail. Its body is never stored: it is rendered when it is sent, with secrets fetched for that moment.
-- Mails of the platform itself (to staff) belong to the brand of zeroes.
CREATE TABLE delivery (
    id          uuid PRIMARY KEY,
    brand_id    uuid        NOT NULL,
    template    text        NOT NULL,
    -- The event it tells of; one mail per template and event, however often the event arrives.
    event_id    uuid        NOT NULL,
    recipient   text        NOT NULL,
    locale      text        NOT NULL,
    -- What the template is filled with, without secrets.
    params      jsonb       NOT NULL,
    subject     text        NOT NULL DEFAULT '',
    -- Empty until the first attempt, then the same for ever.
    message_id  text        NOT NULL DEFAULT '',
    state       text        NOT NULL CHECK (state IN ('planned', 'sending', 'sent', 'unknown', 'failed')),
    attempts    integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    last_error  text        NOT NULL DEFAULT '',
    version     bigint      NOT NULL CHECK (version > 0),
    created_at  timestamptz NOT NULL,
    sent_at     timestamptz,
    UNIQUE (brand_id, template, event_id),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    CHECK (state = 'planned' OR state = 'failed' OR message_id <> '')
);
CREATE INDEX delivery_list ON delivery (brand_id, id);
CREATE INDEX delivery_recipient ON delivery (brand_id, recipient, id);
ALTER TABLE delivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE delivery FORCE ROW LEVEL SECURITY;
CREATE POLICY delivery_brand ON delivery USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- Claims across brands, so without row-level security: nothing of a customer's in here. Times are the database's.
CREATE TABLE delivery_due (
    delivery_id uuid        PRIMARY KEY,
    brand_id    uuid        NOT NULL,
    due_at      timestamptz NOT NULL DEFAULT now(),
    -- When it became due for the first time, to give up one day.
    since       timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    -- Grows with every claim; whoever lost it writes nothing any more.
    fence       bigint      NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
CREATE INDEX delivery_due_at ON delivery_due (due_at);
CREATE INDEX delivery_due_brand ON delivery_due (brand_id);

-- What was last heard of a subscription, to tell "just cancelled" from "still cancelled".
CREATE TABLE subscription_note (
    subscription_id text PRIMARY KEY,
    brand_id        uuid    NOT NULL,
    version         bigint  NOT NULL,
    is_cancelled    boolean NOT NULL
);
ALTER TABLE subscription_note ENABLE ROW LEVEL SECURITY;
ALTER TABLE subscription_note FORCE ROW LEVEL SECURITY;
CREATE POLICY subscription_note_brand ON subscription_note
    USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
