-- Credit granted to customers, which may expire. What is left of one is the balance of its account in the books.

CREATE TABLE wallet_credit (
    id           uuid        PRIMARY KEY,
    brand_id     uuid        NOT NULL,
    entity_id    uuid        NOT NULL,
    account_id   uuid        NOT NULL,
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    currency     text        NOT NULL CHECK (length(currency) = 3),
    reason       text        NOT NULL CHECK (reason <> ''),
    granted_by   text        NOT NULL,
    granted_at   timestamptz NOT NULL,
    -- From then on it is worth nothing; none: never.
    expires_at   timestamptz,
    CHECK (expires_at > granted_at),
    UNIQUE (brand_id, id)
);
CREATE INDEX wallet_credit_account ON wallet_credit (brand_id, account_id, id);
-- What was granted stays as it was; whose it is changes when customers are merged.
CREATE TRIGGER wallet_credit_append_only
    BEFORE UPDATE OF id, brand_id, entity_id, amount_minor, currency, reason, granted_by, granted_at, expires_at
        OR DELETE OR TRUNCATE ON wallet_credit
    FOR EACH STATEMENT EXECUTE FUNCTION ottery_refuse_change();
ALTER TABLE wallet_credit ENABLE ROW LEVEL SECURITY;
ALTER TABLE wallet_credit FORCE ROW LEVEL SECURITY;
CREATE POLICY wallet_credit_brand ON wallet_credit
    USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- Credits that expire, until they have. A platform table: the worker looks across brands, then works in one at a time.
CREATE TABLE wallet_credit_due (
    credit_id uuid        PRIMARY KEY,
    brand_id  uuid        NOT NULL,
    due_at    timestamptz NOT NULL
);
CREATE INDEX wallet_credit_due_brand ON wallet_credit_due (brand_id, due_at);

-- What an invoice that is withdrawn gives back to the wallet, below zero; its `source_id` is that of what it takes back.
ALTER TABLE allocation DROP CONSTRAINT allocation_source_check;
ALTER TABLE allocation ADD CONSTRAINT allocation_source_check
    CHECK (source IN ('payment', 'wallet', 'credit_note', 'release'));
ALTER TABLE allocation DROP CONSTRAINT allocation_amount_minor_check;
ALTER TABLE allocation ADD CONSTRAINT allocation_amount_minor_check
    CHECK (amount_minor <> 0 AND (source = 'release') = (amount_minor < 0));
