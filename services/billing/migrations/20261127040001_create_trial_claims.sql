-- One trial per person: by what somebody is known again, and who may have one more all the same.

-- A sign that a trial was begun with. The hash is keyed and of the brand, so that nothing can be read back, and stays when a
-- customer is forgotten.
CREATE TABLE trial_claim (
    brand_id        uuid        NOT NULL,
    sign            text        NOT NULL CHECK (sign IN ('email', 'device', 'card')),
    hash            bytea       NOT NULL CHECK (length(hash) = 32),
    account_id      uuid        NOT NULL,
    subscription_id uuid        NOT NULL,
    taken_at        timestamptz NOT NULL,
    -- Of two who begin a trial with the same sign at once, one gets it.
    PRIMARY KEY (brand_id, sign, hash)
);
CREATE INDEX trial_claim_account ON trial_claim (brand_id, account_id);

-- One more trial that staff allowed a customer.
CREATE TABLE trial_pass (
    brand_id   uuid        NOT NULL,
    account_id uuid        NOT NULL,
    granted_by text        NOT NULL,
    reason     text        NOT NULL,
    granted_at timestamptz NOT NULL,
    PRIMARY KEY (brand_id, account_id)
);

-- What customers paid with, as keyed hashes of the brand.
CREATE TABLE account_card (
    brand_id   uuid        NOT NULL,
    account_id uuid        NOT NULL,
    hash       bytea       NOT NULL CHECK (length(hash) = 32),
    seen_at    timestamptz NOT NULL,
    PRIMARY KEY (brand_id, account_id, hash)
);

-- By what a brand tells that somebody had a trial before; no row: by everything, and a trial with a reused card ends.
CREATE TABLE trial_rules (
    brand_id    uuid        PRIMARY KEY,
    by_email    boolean     NOT NULL,
    by_device   boolean     NOT NULL,
    by_card     boolean     NOT NULL,
    reused_card text        NOT NULL CHECK (reused_card IN ('end', 'keep')),
    version     bigint      NOT NULL CHECK (version >= 1),
    updated_at  timestamptz NOT NULL
);

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['trial_claim', 'trial_pass', 'account_card', 'trial_rules'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;
