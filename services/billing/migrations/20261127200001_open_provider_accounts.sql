-- Several accounts at providers per brand, each for some countries and currencies, and a provider that is none of ours.

ALTER TABLE provider_account DROP CONSTRAINT provider_account_provider_check;
-- Some providers make the secret when they are told the address, which names the account: then there is none at first.
ALTER TABLE provider_account DROP CONSTRAINT provider_account_secrets_sealed_check;
ALTER TABLE provider_account
    ADD CONSTRAINT provider_account_secrets_sealed_check CHECK (cardinality(secrets_sealed) <= 2),
    ADD CONSTRAINT provider_account_provider_check CHECK (provider IN ('sandbox', 'stripe')),
    -- What customers read where they choose how to pay; empty: the provider's own word.
    ADD COLUMN name                text        NOT NULL DEFAULT '',
    -- Switched off it begins nothing; what was begun by it is finished by it.
    ADD COLUMN is_enabled          boolean     NOT NULL DEFAULT true,
    -- Asked before the others wherever it serves.
    ADD COLUMN is_default          boolean     NOT NULL DEFAULT false,
    -- ISO codes it serves; empty: all of them.
    ADD COLUMN countries           text[]      NOT NULL DEFAULT '{}',
    ADD COLUMN currencies          text[]      NOT NULL DEFAULT '{}',
    ADD COLUMN suspends_on_dispute boolean     NOT NULL DEFAULT false,
    -- No real money moves there; events of the other kind are refused.
    ADD COLUMN is_test             boolean     NOT NULL DEFAULT true,
    -- Until when the secret before the newest one is good, in real time; NULL: until somebody takes it away.
    ADD COLUMN previous_until      timestamptz;
CREATE UNIQUE INDEX provider_account_default ON provider_account (brand_id) WHERE is_default;

-- What a provider calls one of our customers.
CREATE TABLE provider_customer (
    brand_id            uuid        NOT NULL,
    account_id          uuid        NOT NULL,
    provider_account_id uuid        NOT NULL,
    reference           text        NOT NULL CHECK (reference <> ''),
    created_at          timestamptz NOT NULL,
    PRIMARY KEY (brand_id, account_id, provider_account_id),
    FOREIGN KEY (brand_id, provider_account_id) REFERENCES provider_account (brand_id, id)
);

ALTER TABLE payment_method
    -- The last day it can be charged, when the provider says one.
    ADD COLUMN expires_on date,
    -- Gone at the provider, or taken away by the customer. The row stays: what was paid by it names it.
    ADD COLUMN removed_at timestamptz;

-- When the customer was sent to their bank to confirm a charge of a saved method.
ALTER TABLE payment ADD COLUMN resumed_at timestamptz;
-- What the provider calls the last call that moved this attempt: what its support asks for first.
ALTER TABLE payment ADD COLUMN provider_request text NOT NULL DEFAULT '';

-- Objections of cardholders. What the provider took and gave back is booked as it says so.
CREATE TABLE dispute (
    id                  uuid        PRIMARY KEY,
    brand_id            uuid        NOT NULL,
    payment_id          uuid        NOT NULL,
    account_id          uuid        NOT NULL,
    provider_account_id uuid        NOT NULL,
    provider_ref        text        NOT NULL CHECK (provider_ref <> ''),
    state               text        NOT NULL CHECK (state IN
        ('warning', 'needs_response', 'under_review', 'appealed', 'won', 'lost', 'closed')),
    reason              text        NOT NULL,
    amount_minor        bigint      NOT NULL CHECK (amount_minor > 0),
    currency            text        NOT NULL CHECK (length(currency) = 3),
    -- What the books say: taken by the provider, lost for good, and charged for it.
    taken_minor         bigint      NOT NULL DEFAULT 0 CHECK (taken_minor >= 0),
    lost_minor          bigint      NOT NULL DEFAULT 0 CHECK (lost_minor >= 0),
    fee_minor           bigint      NOT NULL DEFAULT 0 CHECK (fee_minor >= 0),
    -- Until when the provider takes evidence, in real time.
    evidence_until      timestamptz,
    is_answered         boolean     NOT NULL DEFAULT false,
    -- The subscription was suspended because of it.
    has_suspended       boolean     NOT NULL DEFAULT false,
    created_at          timestamptz NOT NULL,
    finished_at         timestamptz,
    UNIQUE (brand_id, provider_account_id, provider_ref),
    CHECK (lost_minor <= taken_minor),
    CHECK ((state IN ('won', 'lost', 'closed')) = (finished_at IS NOT NULL)),
    FOREIGN KEY (brand_id, payment_id) REFERENCES payment (brand_id, id),
    FOREIGN KEY (brand_id, provider_account_id) REFERENCES provider_account (brand_id, id)
);
CREATE INDEX dispute_newest ON dispute (brand_id, id DESC);
CREATE INDEX dispute_payment ON dispute (brand_id, payment_id);

-- A customer who saves a method without paying, on the provider's page.
CREATE TABLE payment_setup (
    id                  uuid        PRIMARY KEY,
    brand_id            uuid        NOT NULL,
    account_id          uuid        NOT NULL,
    provider_account_id uuid        NOT NULL,
    state               text        NOT NULL CHECK (state IN ('open', 'saved', 'failed')),
    checkout_ref        text        NOT NULL DEFAULT '',
    method_id           uuid,
    created_at          timestamptz NOT NULL,
    finished_at         timestamptz,
    CHECK ((state = 'open') = (finished_at IS NULL)),
    CHECK ((state = 'saved') = (method_id IS NOT NULL)),
    FOREIGN KEY (brand_id, provider_account_id) REFERENCES provider_account (brand_id, id)
);
CREATE INDEX payment_setup_account ON payment_setup (brand_id, account_id, id DESC);
ALTER TABLE errand DROP CONSTRAINT errand_kind_check;
ALTER TABLE errand ADD CONSTRAINT errand_kind_check CHECK (kind IN ('payment', 'refund', 'vat_check', 'setup'));

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['provider_customer', 'dispute', 'payment_setup'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;
