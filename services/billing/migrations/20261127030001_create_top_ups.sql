-- Money customers put into their wallets, and what amounts a brand takes.

ALTER TABLE invoice DROP CONSTRAINT invoice_purpose_check;
ALTER TABLE invoice ADD CONSTRAINT invoice_purpose_check
    CHECK (purpose IN ('first', 'renewal', 'upgrade', 'manual', 'top_up'));
-- A customer has few of them at a time: each new one takes back those nobody paid.
CREATE INDEX invoice_top_up ON invoice (brand_id, account_id) WHERE purpose = 'top_up' AND state = 'open';

-- Top-ups that are not over. A platform table: the worker looks across brands, then works in one at a time.
CREATE TABLE top_up_due (
    invoice_id uuid        PRIMARY KEY,
    brand_id   uuid        NOT NULL,
    due_at     timestamptz NOT NULL
);
CREATE INDEX top_up_due_brand ON top_up_due (brand_id, due_at);

-- What amounts a brand takes, per currency; no row: what every brand begins with.
CREATE TABLE amount_rules (
    brand_id   uuid        PRIMARY KEY,
    content    jsonb       NOT NULL,
    version    bigint      NOT NULL CHECK (version >= 1),
    updated_at timestamptz NOT NULL
);
ALTER TABLE amount_rules ENABLE ROW LEVEL SECURITY;
ALTER TABLE amount_rules FORCE ROW LEVEL SECURITY;
CREATE POLICY amount_rules_brand ON amount_rules USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
