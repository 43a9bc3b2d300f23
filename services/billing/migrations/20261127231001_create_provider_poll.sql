-- When each account is asked next for events whose webhook never came, and from where on. Looked through for all brands: ids, the
-- provider's name of an event and instants of real time, nothing else, hence no row-level security.
CREATE TABLE provider_poll (
    account_id  uuid        PRIMARY KEY,
    brand_id    uuid        NOT NULL,
    -- Everything after this event is read the next time; empty: whatever is newest.
    cursor      text        NOT NULL DEFAULT '',
    due_at      timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    -- Failures since it worked.
    tries       integer     NOT NULL DEFAULT 0
);
CREATE INDEX provider_poll_due ON provider_poll (due_at);
INSERT INTO provider_poll (account_id, brand_id) SELECT account_id, brand_id FROM provider_route;
