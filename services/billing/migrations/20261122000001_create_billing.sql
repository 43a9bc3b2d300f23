-- Billing: catalogue copies, quotes, orders, subscriptions, invoices, the ledger, work that waits.
-- Amounts are whole minor units of the currency beside them; instants are UTC; text states are those of the machines in src/domain.

-- Brands this service has heard of. A platform table without tenant data: background work starts here, one brand per transaction.
CREATE TABLE known_brand (
    brand_id  uuid PRIMARY KEY,
    entity_id uuid NOT NULL
);

-- The brand as the catalogue last told it: what sells, in which currencies, how long the grace is.
CREATE TABLE brand_profile (
    brand_id   uuid        PRIMARY KEY,
    version    bigint      NOT NULL,
    content    jsonb       NOT NULL,
    updated_at timestamptz NOT NULL
);

-- Customers as invoices show them; the row is the lock on a customer's money (wallet, first settlement).
CREATE TABLE customer (
    brand_id         uuid        NOT NULL,
    account_id       uuid        NOT NULL,
    email            text        NOT NULL,
    display_name     text        NOT NULL,
    country          text        NOT NULL,
    locale           text        NOT NULL,
    referral_code    text        NOT NULL DEFAULT '',
    first_settled_at timestamptz,
    PRIMARY KEY (brand_id, account_id)
);

-- A binding offer. Trimmed a while after it expires; an order keeps what it needs.
CREATE TABLE quote (
    id         uuid        PRIMARY KEY,
    brand_id   uuid        NOT NULL,
    -- Who asked; empty for a visitor. Only that account may order it.
    account_id uuid,
    offer      jsonb       NOT NULL,
    content    jsonb       NOT NULL,
    country    text        NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX quote_expiry ON quote (brand_id, expires_at);

CREATE TABLE orders (
    id              uuid        PRIMARY KEY,
    brand_id        uuid        NOT NULL,
    account_id      uuid        NOT NULL,
    quote_id        uuid        NOT NULL,
    subscription_id uuid        NOT NULL,
    invoice_id      uuid,
    state           text        NOT NULL CHECK (state IN ('awaiting_payment', 'paid', 'cancelled')),
    plan_name       text        NOT NULL,
    total_minor     bigint      NOT NULL CHECK (total_minor >= 0),
    currency        text        NOT NULL CHECK (length(currency) = 3),
    email           text        NOT NULL,
    referral_code   text        NOT NULL DEFAULT '',
    trace_id        text        NOT NULL DEFAULT '',
    placed_at       timestamptz NOT NULL,
    paid_at         timestamptz,
    CHECK ((state = 'paid') = (paid_at IS NOT NULL))
);
-- A quote is bought once.
CREATE UNIQUE INDEX orders_quote ON orders (brand_id, quote_id);
CREATE INDEX orders_newest ON orders (brand_id, id DESC);
CREATE INDEX orders_account ON orders (brand_id, account_id, id DESC);
CREATE INDEX orders_subscription ON orders (brand_id, subscription_id);

CREATE TABLE subscription (
    id                   uuid        PRIMARY KEY,
    brand_id             uuid        NOT NULL,
    account_id           uuid        NOT NULL,
    order_id             uuid        NOT NULL,
    state                text        NOT NULL
        CHECK (state IN ('pending', 'trialing', 'active', 'past_due', 'suspended', 'paused', 'ended')),
    -- Why it is suspended (unpaid, staff) or ended (cancelled, unpaid, refunded, staff, abandoned).
    cause                text,
    state_since          timestamptz NOT NULL,
    -- While past due: not suspended before this instant.
    grace_until          timestamptz,
    -- What was bought, as it was; a price never changes under a customer.
    offer                jsonb       NOT NULL,
    -- What it becomes at the next renewal.
    next_offer           jsonb,
    trial                boolean     NOT NULL DEFAULT false,
    -- The set-up fee is charged with the first invoice, which for a trial comes at its end.
    setup_due            boolean     NOT NULL DEFAULT false,
    -- Where periods are counted from, and how many of them are paid.
    anchor               jsonb,
    periods_paid         integer     NOT NULL DEFAULT 0 CHECK (periods_paid >= 0),
    period_start         timestamptz,
    period_end           timestamptz,
    -- The end of what is paid (or of the trial); later than period_end after an early renewal.
    paid_through         timestamptz,
    cancel_at            timestamptz,
    created_at           timestamptz NOT NULL,
    ended_at             timestamptz,
    payment_method_id    uuid,
    payment_method_label text        NOT NULL DEFAULT '',
    -- Grows with every billing.subscription.changed.v1.
    version              bigint      NOT NULL DEFAULT 0,
    -- Grows with every billing.entitlement.changed.v1.
    entitlement_version  bigint      NOT NULL DEFAULT 0,
    CHECK (period_end > period_start),
    CHECK (paid_through >= period_end),
    CHECK ((state = 'past_due') = (grace_until IS NOT NULL)),
    CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
    CHECK ((state IN ('suspended', 'ended')) = (cause IS NOT NULL))
);
CREATE INDEX subscription_newest ON subscription (brand_id, id DESC);
CREATE INDEX subscription_account ON subscription (brand_id, account_id, id DESC);

-- The next number of a series. Row-locked by the transaction that finalises, so that a number is used exactly when the invoice exists.
-- A platform table: a legal entity may sell under several brands and has one sequence.
CREATE TABLE invoice_number (
    entity_id uuid    NOT NULL,
    series    text    NOT NULL,
    year      integer NOT NULL,
    next      bigint  NOT NULL CHECK (next >= 1),
    PRIMARY KEY (entity_id, series, year)
);

CREATE TABLE invoice (
    id              uuid        PRIMARY KEY,
    brand_id        uuid        NOT NULL,
    account_id      uuid        NOT NULL,
    subscription_id uuid,
    order_id        uuid,
    purpose         text        NOT NULL CHECK (purpose IN ('first', 'renewal', 'upgrade')),
    state           text        NOT NULL CHECK (state IN ('draft', 'open', 'void', 'uncollectible', 'closed')),
    entity_id       uuid        NOT NULL,
    series          text,
    number_year     integer,
    number_seq      bigint,
    currency        text        NOT NULL CHECK (length(currency) = 3),
    subtotal_minor  bigint      NOT NULL CHECK (subtotal_minor >= 0),
    tax_minor       bigint      NOT NULL CHECK (tax_minor >= 0),
    total_minor     bigint      NOT NULL CHECK (total_minor = subtotal_minor + tax_minor),
    lines           jsonb       NOT NULL,
    -- Seller, buyer, brand and offer as they were at issue; nothing here changes afterwards.
    snapshot        jsonb       NOT NULL,
    -- The period it pays for: the key that makes a second renewal invoice impossible.
    period_start    timestamptz,
    period_end      timestamptz,
    issued_at       timestamptz,
    due_at          timestamptz,
    closed_at       timestamptz,
    -- Dunning: reminder steps done, off-session charges asked for.
    reminders_done  integer     NOT NULL DEFAULT 0,
    charges_made    integer     NOT NULL DEFAULT 0,
    CHECK ((state = 'draft') = (number_seq IS NULL)),
    CHECK ((number_seq IS NULL) = (series IS NULL) AND (number_seq IS NULL) = (number_year IS NULL)
        AND (number_seq IS NULL) = (issued_at IS NULL)),
    CHECK ((state = 'closed') = (closed_at IS NOT NULL)),
    UNIQUE (brand_id, id)
);
CREATE UNIQUE INDEX invoice_number_once ON invoice (entity_id, series, number_year, number_seq);
CREATE UNIQUE INDEX invoice_period_once ON invoice (brand_id, subscription_id, period_start)
    WHERE purpose IN ('first', 'renewal') AND state <> 'void';
CREATE INDEX invoice_newest ON invoice (brand_id, id DESC);
CREATE INDEX invoice_account ON invoice (brand_id, account_id, id DESC);
CREATE INDEX invoice_subscription ON invoice (brand_id, subscription_id, id DESC);
CREATE INDEX invoice_open ON invoice (brand_id, subscription_id) WHERE state = 'open';

-- What settles an invoice, piece by piece; what is paid is the sum of these rows.
CREATE TABLE allocation (
    id           uuid        PRIMARY KEY,
    brand_id     uuid        NOT NULL,
    invoice_id   uuid        NOT NULL,
    source       text        NOT NULL CHECK (source IN ('payment', 'wallet')),
    -- The payment (prefixed id), or the invoice itself for the wallet.
    source_id    text        NOT NULL,
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    currency     text        NOT NULL CHECK (length(currency) = 3),
    created_at   timestamptz NOT NULL,
    UNIQUE (brand_id, invoice_id, source, source_id),
    FOREIGN KEY (brand_id, invoice_id) REFERENCES invoice (brand_id, id)
);

CREATE TABLE credit_note (
    id           uuid        PRIMARY KEY,
    brand_id     uuid        NOT NULL,
    invoice_id   uuid        NOT NULL,
    account_id   uuid        NOT NULL,
    entity_id    uuid        NOT NULL,
    series       text        NOT NULL,
    number_year  integer     NOT NULL,
    number_seq   bigint      NOT NULL,
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    tax_minor    bigint      NOT NULL CHECK (tax_minor >= 0 AND tax_minor <= amount_minor),
    currency     text        NOT NULL CHECK (length(currency) = 3),
    reason       text        NOT NULL,
    issued_at    timestamptz NOT NULL,
    FOREIGN KEY (brand_id, invoice_id) REFERENCES invoice (brand_id, id)
);
CREATE UNIQUE INDEX credit_note_number_once ON credit_note (entity_id, series, number_year, number_seq);
CREATE INDEX credit_note_invoice ON credit_note (brand_id, invoice_id);

-- The ledger. A row moves an amount from the credit account to the debit account, so every row sums to zero.
-- It only grows: a hold is a pending row, its posting or voiding a row of its own that names it.
CREATE TABLE transfer (
    id           uuid        PRIMARY KEY,
    brand_id     uuid        NOT NULL,
    entity_id    uuid        NOT NULL,
    debit        text        NOT NULL,
    credit       text        NOT NULL,
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    currency     text        NOT NULL CHECK (length(currency) = 3),
    state        text        NOT NULL CHECK (state IN ('posted', 'pending', 'voided')),
    kind         text        NOT NULL,
    -- Prefixed id of what caused it.
    reference_id text        NOT NULL,
    -- The pending transfer this row posts or voids.
    resolves     uuid,
    -- Pending only: when it counts as forgotten.
    deadline     timestamptz,
    booked_at    timestamptz NOT NULL,
    CHECK (debit <> credit),
    CHECK ((state = 'pending') = (deadline IS NOT NULL)),
    CHECK (state <> 'pending' OR resolves IS NULL),
    CHECK (state <> 'voided' OR resolves IS NOT NULL),
    UNIQUE (brand_id, id),
    FOREIGN KEY (brand_id, resolves) REFERENCES transfer (brand_id, id)
);
CREATE UNIQUE INDEX transfer_resolves_once ON transfer (resolves) WHERE resolves IS NOT NULL;
-- Doing the same thing twice is refused by the database, too.
CREATE UNIQUE INDEX transfer_once ON transfer (brand_id, kind, reference_id, debit, credit) WHERE resolves IS NULL;
CREATE INDEX transfer_newest ON transfer (brand_id, id DESC);
CREATE INDEX transfer_reference ON transfer (brand_id, reference_id);
CREATE INDEX transfer_debit ON transfer (brand_id, debit, currency);
CREATE INDEX transfer_credit ON transfer (brand_id, credit, currency);

-- Grants are the same for every table of a service, so the wall is here: a mistake is answered by a new booking, never by an update.
CREATE FUNCTION ottery_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: book a new row instead', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER transfer_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION ottery_refuse_change();
CREATE TRIGGER allocation_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON allocation
    FOR EACH STATEMENT EXECUTE FUNCTION ottery_refuse_change();
CREATE TRIGGER credit_note_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_note
    FOR EACH STATEMENT EXECUTE FUNCTION ottery_refuse_change();

-- Work that needs a person; one row per matter.
CREATE TABLE task (
    id           uuid        PRIMARY KEY,
    brand_id     uuid        NOT NULL,
    kind         text        NOT NULL,
    reference_id text        NOT NULL,
    summary      text        NOT NULL,
    created_at   timestamptz NOT NULL,
    resolved_at  timestamptz
);
CREATE UNIQUE INDEX task_once ON task (brand_id, kind, reference_id) WHERE resolved_at IS NULL;
CREATE INDEX task_newest ON task (brand_id, id DESC) WHERE resolved_at IS NULL;

-- When a subscription needs attention next, by the brand's clock. A platform table: schedulers claim across brands (lease by the
-- database's time), then work in one brand at a time. `fence` grows with every claim and with every change by somebody else.
CREATE TABLE due (
    subscription_id uuid        PRIMARY KEY,
    brand_id        uuid        NOT NULL,
    due_at          timestamptz NOT NULL,
    lease_until     timestamptz NOT NULL DEFAULT '-infinity',
    fence           bigint      NOT NULL DEFAULT 0
);
CREATE INDEX due_by_brand ON due (brand_id, due_at);

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['brand_profile', 'customer', 'quote', 'orders', 'subscription', 'invoice', 'allocation',
        'credit_note', 'transfer', 'task'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;
