CREATE TABLE ticket_number (
    brand_id uuid   PRIMARY KEY,
    last     bigint NOT NULL CHECK (last >= 1000)
);
ALTER TABLE ticket_number ENABLE ROW LEVEL SECURITY;
ALTER TABLE ticket_number FORCE ROW LEVEL SECURITY;
CREATE POLICY ticket_number_brand ON ticket_number USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

CREATE TABLE ticket (
    id              uuid PRIMARY KEY,
    brand_id        uuid        NOT NULL,
    number          bigint      NOT NULL,
    account_id      uuid        NOT NULL,
    email           text        NOT NULL,
    locale          text        NOT NULL,
    subject         text        NOT NULL CHECK (char_length(subject) BETWEEN 3 AND 200),
    department      text        NOT NULL,
    state           text        NOT NULL CHECK (state IN ('open', 'answered', 'closed')),
    subscription_id uuid,
    version         bigint      NOT NULL CHECK (version > 0),
    opened_at       timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    closed_at       timestamptz,
    UNIQUE (brand_id, number),
    UNIQUE (brand_id, id),
    CHECK ((state = 'closed') = (closed_at IS NOT NULL))
);
CREATE INDEX ticket_account ON ticket (brand_id, account_id, id);
CREATE INDEX ticket_state ON ticket (brand_id, state, id);
ALTER TABLE ticket ENABLE ROW LEVEL SECURITY;
ALTER TABLE ticket FORCE ROW LEVEL SECURITY;
CREATE POLICY ticket_brand ON ticket USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

CREATE TABLE ticket_message (
    id          uuid PRIMARY KEY,
    brand_id    uuid        NOT NULL,
    ticket_id   uuid        NOT NULL,
    author      text        NOT NULL CHECK (author IN ('customer', 'staff')),
    author_id   text        NOT NULL,
    author_name text        NOT NULL,
    body        text        NOT NULL CHECK (char_length(body) BETWEEN 1 AND 10000),
    internal    boolean     NOT NULL,
    written_at  timestamptz NOT NULL,
    FOREIGN KEY (brand_id, ticket_id) REFERENCES ticket (brand_id, id),
    -- A customer has nothing to note among staff.
    CHECK (NOT internal OR author = 'staff')
);
CREATE INDEX ticket_message_ticket ON ticket_message (ticket_id, id);
ALTER TABLE ticket_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE ticket_message FORCE ROW LEVEL SECURITY;
CREATE POLICY ticket_message_brand ON ticket_message USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
