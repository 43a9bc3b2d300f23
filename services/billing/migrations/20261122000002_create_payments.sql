-- Payments: provider accounts, saved methods, attempts, refunds, what providers told us, and calls that wait.
-- A provider lives in real time: everything about calls (sent, deadlines, when to look again) is the database's time.

-- Which brand a webhook address belongs to. A platform table without secrets: a webhook arrives before any brand is known.
CREATE TABLE provider_route (
    account_id uuid PRIMARY KEY,
    brand_id   uuid NOT NULL
);

-- How to reach a provider; key and webhook secrets are sealed for this row.
CREATE TABLE provider_account (
    id             uuid        PRIMARY KEY,
    brand_id       uuid        NOT NULL,
    provider       text        NOT NULL CHECK (provider IN ('sandbox')),
    base_url       text        NOT NULL,
    api_key_sealed bytea       NOT NULL,
    api_key_hint   text        NOT NULL,
    -- The newest last; two are live while one replaces the other. Each is sealed for its own place.
    secrets_sealed bytea[]     NOT NULL CHECK (cardinality(secrets_sealed) BETWEEN 1 AND 2),
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    UNIQUE (brand_id, id)
);

-- Saved instruments: the provider's token is sealed; its keyed hash finds the same card again.
CREATE TABLE payment_method (
    id                  uuid        PRIMARY KEY,
    brand_id            uuid        NOT NULL,
    account_id          uuid        NOT NULL,
    provider_account_id uuid        NOT NULL,
    token_sealed        bytea       NOT NULL,
    token_hash          bytea       NOT NULL,
    label               text        NOT NULL,
    is_default          boolean     NOT NULL,
    created_at          timestamptz NOT NULL,
    FOREIGN KEY (brand_id, provider_account_id) REFERENCES provider_account (brand_id, id)
);
CREATE UNIQUE INDEX payment_method_token ON payment_method (brand_id, account_id, provider_account_id, token_hash);
CREATE UNIQUE INDEX payment_method_default ON payment_method (brand_id, account_id) WHERE is_default;

-- Attempts to be paid. The row is committed before the provider hears of it.
CREATE TABLE payment (
    id                  uuid        PRIMARY KEY,
    brand_id            uuid        NOT NULL,
    invoice_id          uuid        NOT NULL,
    account_id          uuid        NOT NULL,
    subscription_id     uuid,
    -- `hosted`: the customer pays on the provider's page. `saved`: we charge a saved method.
    kind                text        NOT NULL CHECK (kind IN ('hosted', 'saved')),
    state               text        NOT NULL CHECK (state IN
        ('requested', 'sent', 'pending', 'action_required', 'unknown', 'succeeded', 'failed', 'cancelled')),
    amount_minor        bigint      NOT NULL CHECK (amount_minor > 0),
    currency            text        NOT NULL CHECK (length(currency) = 3),
    method_id           uuid,
    return_url          text        NOT NULL DEFAULT '',
    cancel_url          text        NOT NULL DEFAULT '',
    save_method         boolean     NOT NULL DEFAULT false,
    -- Somebody wants no money by this attempt any more; if it comes nevertheless it counts.
    is_withdrawn        boolean     NOT NULL DEFAULT false,
    -- The provider has accepted a payment and not decided yet (direct debit, review).
    is_processing       boolean     NOT NULL DEFAULT false,
    provider            text        NOT NULL DEFAULT '',
    provider_account_id uuid,
    checkout_ref        text        NOT NULL DEFAULT '',
    checkout_url        text        NOT NULL DEFAULT '',
    provider_ref        text        NOT NULL DEFAULT '',
    -- What really came; differs from the amount only when something is wrong.
    received_minor      bigint,
    received_currency   text,
    failure_code        text        NOT NULL DEFAULT '',
    failure_class       text        NOT NULL DEFAULT '' CHECK (failure_class IN ('', 'soft', 'hard', 'action')),
    method_label        text        NOT NULL DEFAULT '',
    created_at          timestamptz NOT NULL,
    finished_at         timestamptz,
    sent_at             timestamptz,
    CHECK ((kind = 'saved') = (method_id IS NOT NULL)),
    CHECK ((state = 'requested') OR (sent_at IS NOT NULL) OR (state IN ('cancelled', 'failed'))),
    CHECK ((state = 'succeeded') = (received_minor IS NOT NULL)),
    CHECK ((received_minor IS NULL) = (received_currency IS NULL)),
    CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    UNIQUE (brand_id, id),
    FOREIGN KEY (brand_id, invoice_id) REFERENCES invoice (brand_id, id),
    FOREIGN KEY (brand_id, provider_account_id) REFERENCES provider_account (brand_id, id)
);
CREATE INDEX payment_newest ON payment (brand_id, id DESC);
CREATE INDEX payment_account ON payment (brand_id, account_id, id DESC);
CREATE INDEX payment_invoice ON payment (brand_id, invoice_id, id DESC);
-- One money movement at the provider settles one attempt.
CREATE UNIQUE INDEX payment_provider_ref ON payment (brand_id, provider_account_id, provider_ref) WHERE provider_ref <> '';
-- One saved-method charge at a time per invoice: an unknown outcome locks it.
CREATE UNIQUE INDEX payment_charge_once ON payment (brand_id, invoice_id)
    WHERE kind = 'saved' AND state IN ('requested', 'sent', 'pending', 'unknown');

CREATE TABLE refund (
    id             uuid        PRIMARY KEY,
    brand_id       uuid        NOT NULL,
    payment_id     uuid        NOT NULL,
    invoice_id     uuid        NOT NULL,
    account_id     uuid        NOT NULL,
    amount_minor   bigint      NOT NULL CHECK (amount_minor > 0),
    currency       text        NOT NULL CHECK (length(currency) = 3),
    state          text        NOT NULL CHECK (state IN ('requested', 'sent', 'pending', 'unknown', 'succeeded', 'failed')),
    reason         text        NOT NULL,
    policy         text        NOT NULL CHECK (policy IN ('keep', 'end_now')),
    -- Who began it: us, or somebody at the provider's console.
    origin         text        NOT NULL CHECK (origin IN ('ours', 'provider')),
    provider_ref   text        NOT NULL DEFAULT '',
    failure_code   text        NOT NULL DEFAULT '',
    credit_note_id uuid,
    created_at     timestamptz NOT NULL,
    finished_at    timestamptz,
    sent_at        timestamptz,
    CHECK ((state IN ('succeeded', 'failed')) = (finished_at IS NOT NULL)),
    FOREIGN KEY (brand_id, payment_id) REFERENCES payment (brand_id, id),
    FOREIGN KEY (brand_id, invoice_id) REFERENCES invoice (brand_id, id)
);
CREATE INDEX refund_payment ON refund (brand_id, payment_id);
CREATE INDEX refund_account ON refund (brand_id, account_id);
CREATE UNIQUE INDEX refund_provider_ref ON refund (brand_id, payment_id, provider_ref) WHERE provider_ref <> '';

-- Attempts and refunds that wait for a call to the provider. A platform table, claimed across brands.
CREATE TABLE errand (
    id          uuid        PRIMARY KEY,
    brand_id    uuid        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('payment', 'refund')),
    due_at      timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    fence       bigint      NOT NULL DEFAULT 0,
    -- Looks since the last change; the gaps grow with it.
    tries       integer     NOT NULL DEFAULT 0
);
CREATE INDEX errand_due ON errand (due_at);
CREATE INDEX errand_brand ON errand (brand_id, due_at);

-- Events we have; a platform table because uniqueness must hold across the partitions of what was received.
CREATE TABLE provider_event_key (
    account_id  uuid        NOT NULL,
    event_id    text        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, event_id)
);
CREATE INDEX provider_event_key_age ON provider_event_key (received_at);

-- What providers told us, as they said it.
CREATE TABLE provider_event (
    id          uuid        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    brand_id    uuid        NOT NULL,
    account_id  uuid        NOT NULL,
    event_id    text        NOT NULL,
    kind        text        NOT NULL,
    body        bytea       NOT NULL,
    state       text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'applied', 'ignored', 'given_up')),
    note        text        NOT NULL DEFAULT '',
    PRIMARY KEY (id, received_at)
) PARTITION BY RANGE (received_at);
CREATE TABLE provider_event_default PARTITION OF provider_event DEFAULT;
SELECT ottery_ensure_partitions('provider_event', 'received_at', 3);
CREATE INDEX provider_event_newest ON provider_event (brand_id, id DESC);

-- Events that wait to be applied. A platform table, claimed across brands.
CREATE TABLE provider_event_due (
    id          uuid        PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    brand_id    uuid        NOT NULL,
    -- The attempt it waits for, when it came before its parent.
    payment_id  uuid,
    due_at      timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    fence       bigint      NOT NULL DEFAULT 0,
    tries       integer     NOT NULL DEFAULT 0
);
CREATE INDEX provider_event_due_at ON provider_event_due (due_at);
CREATE INDEX provider_event_due_parked ON provider_event_due (payment_id) WHERE payment_id IS NOT NULL;

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['provider_account', 'payment_method', 'payment', 'refund', 'provider_event'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;
