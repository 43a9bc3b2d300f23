-- What affiliate needs of a brand; a copy of catalog's state.
CREATE TABLE brand_terms (
    brand_id  uuid    PRIMARY KEY,
    version   bigint  NOT NULL,
    rate_bp   integer NOT NULL CHECK (rate_bp BETWEEN 0 AND 10000),
    hold_days integer NOT NULL CHECK (hold_days >= 0)
);
ALTER TABLE brand_terms ENABLE ROW LEVEL SECURITY;
ALTER TABLE brand_terms FORCE ROW LEVEL SECURITY;
CREATE POLICY brand_terms_brand ON brand_terms USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

CREATE TABLE affiliate (
    id         uuid PRIMARY KEY,
    brand_id   uuid        NOT NULL,
    account_id uuid        NOT NULL,
    email      text        NOT NULL,
    code       text        NOT NULL CHECK (code ~ '^[a-z0-9]{8}$'),
    joined_at  timestamptz NOT NULL,
    UNIQUE (brand_id, account_id),
    UNIQUE (brand_id, code),
    UNIQUE (brand_id, id)
);
ALTER TABLE affiliate ENABLE ROW LEVEL SECURITY;
ALTER TABLE affiliate FORCE ROW LEVEL SECURITY;
CREATE POLICY affiliate_brand ON affiliate USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- Clicks are counted, not kept: no address, no device of a visitor is stored.
CREATE TABLE click_day (
    brand_id     uuid   NOT NULL,
    affiliate_id uuid   NOT NULL,
    day          date   NOT NULL,
    clicks       bigint NOT NULL CHECK (clicks > 0),
    PRIMARY KEY (affiliate_id, day),
    FOREIGN KEY (brand_id, affiliate_id) REFERENCES affiliate (brand_id, id)
);
ALTER TABLE click_day ENABLE ROW LEVEL SECURITY;
ALTER TABLE click_day FORCE ROW LEVEL SECURITY;
CREATE POLICY click_day_brand ON click_day USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

CREATE TABLE commission (
    id             uuid PRIMARY KEY,
    brand_id       uuid        NOT NULL,
    affiliate_id   uuid        NOT NULL,
    order_id       text        NOT NULL,
    invoice_id     uuid        NOT NULL,
    currency       text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    base_minor     bigint      NOT NULL CHECK (base_minor > 0),
    amount_minor   bigint      NOT NULL CHECK (amount_minor BETWEEN 0 AND base_minor),
    reversed_minor bigint      NOT NULL DEFAULT 0 CHECK (reversed_minor BETWEEN 0 AND amount_minor),
    state          text        NOT NULL CHECK (state IN ('pending', 'approved', 'reversed', 'paid')),
    version        bigint      NOT NULL CHECK (version > 0),
    created_at     timestamptz NOT NULL,
    approve_after  timestamptz NOT NULL,
    -- One commission per invoice, whatever is repeated.
    UNIQUE (brand_id, invoice_id),
    FOREIGN KEY (brand_id, affiliate_id) REFERENCES affiliate (brand_id, id)
);
CREATE INDEX commission_affiliate ON commission (affiliate_id, id);
ALTER TABLE commission ENABLE ROW LEVEL SECURITY;
ALTER TABLE commission FORCE ROW LEVEL SECURITY;
CREATE POLICY commission_brand ON commission USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- Each refund once, also when it is heard of before the commission it takes back.
CREATE TABLE refund (
    brand_id            uuid   NOT NULL,
    refund_id           uuid   NOT NULL,
    invoice_id          uuid   NOT NULL,
    amount_minor        bigint NOT NULL CHECK (amount_minor > 0),
    invoice_total_minor bigint NOT NULL CHECK (invoice_total_minor > 0),
    PRIMARY KEY (brand_id, refund_id)
);
CREATE INDEX refund_invoice ON refund (brand_id, invoice_id);
ALTER TABLE refund ENABLE ROW LEVEL SECURITY;
ALTER TABLE refund FORCE ROW LEVEL SECURITY;
CREATE POLICY refund_brand ON refund USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- Referrals that earned nothing, and why; for staff.
CREATE TABLE flagged_referral (
    brand_id   uuid        NOT NULL,
    invoice_id uuid        NOT NULL,
    code       text        NOT NULL,
    reason     text        NOT NULL CHECK (reason IN ('self_referral', 'existing_customer', 'unknown_code')),
    flagged_at timestamptz NOT NULL,
    PRIMARY KEY (brand_id, invoice_id)
);
ALTER TABLE flagged_referral ENABLE ROW LEVEL SECURITY;
ALTER TABLE flagged_referral FORCE ROW LEVEL SECURITY;
CREATE POLICY flagged_referral_brand ON flagged_referral USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- Finds pending commissions of all brands: ids and an instant, nothing else, hence no row-level security.
CREATE TABLE due (
    commission_id uuid PRIMARY KEY,
    brand_id      uuid        NOT NULL,
    due_at        timestamptz NOT NULL
);
CREATE INDEX due_at ON due (brand_id, due_at);
