-- What providers report, compared daily with the books.

-- When each account is compared next. Looked through for all brands: ids and instants of real time, nothing else, hence no
-- row-level security.
CREATE TABLE reconciliation_due (
    account_id  uuid        PRIMARY KEY,
    brand_id    uuid        NOT NULL,
    due_at      timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    -- Failures since it worked.
    tries       integer     NOT NULL DEFAULT 0
);
CREATE INDEX reconciliation_due_due ON reconciliation_due (due_at);
INSERT INTO reconciliation_due (account_id, brand_id) SELECT account_id, brand_id FROM provider_route;

-- One comparison. Its instants are real time: the provider knows no other.
CREATE TABLE reconciliation (
    id           uuid        PRIMARY KEY,
    brand_id     uuid        NOT NULL,
    account_id   uuid        NOT NULL,
    provider     text        NOT NULL,
    -- Who asked for it; empty: it was due.
    asked_by     text        NOT NULL DEFAULT '',
    -- What is reported is what was made at the provider from here on,
    from_at      timestamptz NOT NULL,
    -- and before this.
    until_at     timestamptz NOT NULL,
    -- What is read now; `compare` when everything is.
    step         text        NOT NULL DEFAULT 'payment' CHECK (step IN ('payment', 'refund', 'dispute', 'compare')),
    -- Where the page before ended; empty: the step begins.
    cursor       text        NOT NULL DEFAULT '',
    -- The provider lists no payments: ours were asked for one by one, and what we do not know of is not found.
    is_one_sided boolean     NOT NULL DEFAULT false,
    -- Steps that could not be read and were left out.
    left_out     text[]      NOT NULL DEFAULT '{}',
    -- Steps of which the provider reports nothing.
    not_reported text[]      NOT NULL DEFAULT '{}',
    -- Why it does not go on, or what was left out.
    problem      text        NOT NULL DEFAULT '',
    pages        integer     NOT NULL DEFAULT 0,
    rows_read    integer     NOT NULL DEFAULT 0,
    rows_ours    integer     NOT NULL DEFAULT 0,
    -- Differences that reading the object again made good.
    healed       integer     NOT NULL DEFAULT 0,
    -- Differences that stayed, those that were known before among them.
    differences  integer     NOT NULL DEFAULT 0,
    -- By kind and currency, on both sides.
    totals       jsonb       NOT NULL DEFAULT '[]',
    begun_at     timestamptz NOT NULL,
    ended_at     timestamptz,
    UNIQUE (brand_id, id),
    CHECK (from_at < until_at)
);
-- One at a time; what broke in the middle is resumed.
CREATE UNIQUE INDEX reconciliation_open ON reconciliation (account_id) WHERE ended_at IS NULL;
CREATE INDEX reconciliation_newest ON reconciliation (brand_id, id DESC);

-- What was read of the report of a comparison that has not ended.
CREATE TABLE reconciliation_row (
    run_id         uuid   NOT NULL,
    brand_id       uuid   NOT NULL,
    kind           text   NOT NULL CHECK (kind IN ('payment', 'refund', 'dispute')),
    reference      text   NOT NULL,
    parent         text   NOT NULL,
    ours           text   NOT NULL,
    standing       text   NOT NULL CHECK (standing IN ('pending', 'moved', 'taken_back', 'void')),
    amount_minor   bigint,
    currency       text,
    fee_minor      bigint,
    fee_currency   text,
    PRIMARY KEY (run_id, kind, reference),
    FOREIGN KEY (brand_id, run_id) REFERENCES reconciliation (brand_id, id) ON DELETE CASCADE,
    CHECK ((amount_minor IS NULL) = (currency IS NULL)),
    CHECK ((fee_minor IS NULL) = (fee_currency IS NULL))
);

-- A difference, from the day on which it was found to the one on which it was not any more.
CREATE TABLE reconciliation_difference (
    id              uuid        PRIMARY KEY,
    brand_id        uuid        NOT NULL,
    account_id      uuid        NOT NULL,
    kind            text        NOT NULL CHECK (kind IN ('payment', 'refund', 'dispute')),
    difference      text        NOT NULL CHECK (difference IN ('only_there', 'only_here', 'currency', 'state', 'amount', 'fee')),
    -- The provider's id.
    reference       text        NOT NULL,
    -- The provider's id of the payment of a refund or an objection.
    parent          text        NOT NULL,
    -- Our id, or what the provider takes for it.
    ours            text        NOT NULL,
    theirs_minor    bigint,
    theirs_currency text,
    ours_minor      bigint,
    ours_currency   text,
    found_by        uuid        NOT NULL,
    seen_by         uuid        NOT NULL,
    found_at        timestamptz NOT NULL,
    seen_at         timestamptz NOT NULL,
    -- Staff says that it is right as it is; it is no task as long as the amounts stay.
    accepted_by     text        NOT NULL DEFAULT '',
    accepted_reason text        NOT NULL DEFAULT '',
    accepted_at     timestamptz,
    closed_at       timestamptz,
    UNIQUE (brand_id, id),
    FOREIGN KEY (brand_id, found_by) REFERENCES reconciliation (brand_id, id),
    FOREIGN KEY (brand_id, seen_by) REFERENCES reconciliation (brand_id, id)
);
CREATE UNIQUE INDEX reconciliation_difference_open ON reconciliation_difference
    (brand_id, account_id, kind, difference, reference, ours) WHERE closed_at IS NULL;
CREATE INDEX reconciliation_difference_newest ON reconciliation_difference (brand_id, id DESC);

-- What was sent to an account in a span of time, which both are compared by.
CREATE INDEX payment_sent ON payment (brand_id, provider_account_id, sent_at);
CREATE INDEX refund_sent ON refund (brand_id, sent_at);
CREATE INDEX refund_by_provider_ref ON refund (brand_id, provider_ref) WHERE provider_ref <> '';

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['reconciliation', 'reconciliation_row', 'reconciliation_difference'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;
