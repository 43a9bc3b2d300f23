-- Codes for a plan that is sold in limited number hold its places, and codes that expire are over in the books as well.

-- The plan of which each code that nobody has redeemed holds a place; none: it is not limited, or the codes are for money.
ALTER TABLE gift_batch ADD COLUMN stock_plan_id uuid;
-- When the codes nobody had redeemed were over.
ALTER TABLE gift_batch ADD COLUMN expired_at timestamptz;
ALTER TABLE gift_code ADD COLUMN expired_at timestamptz;
ALTER TABLE gift_code ADD CONSTRAINT gift_code_is_over_once CHECK (num_nonnulls(redeemed_at, voided_at, expired_at) <= 1);
CREATE INDEX gift_batch_stock ON gift_batch (brand_id, stock_plan_id) WHERE stock_plan_id IS NOT NULL;

-- Batches that will expire. A platform table: the worker looks across brands, then works in one at a time.
CREATE TABLE gift_due (
    batch_id uuid        PRIMARY KEY,
    brand_id uuid        NOT NULL,
    due_at   timestamptz NOT NULL
);
CREATE INDEX gift_due_brand ON gift_due (brand_id, due_at);

-- Those there are; the owner of the tables is no brand, so its wall is lowered for this statement.
ALTER TABLE gift_batch NO FORCE ROW LEVEL SECURITY;
INSERT INTO gift_due (batch_id, brand_id, due_at)
SELECT id, brand_id, expires_at FROM gift_batch WHERE expires_at IS NOT NULL AND voided_at IS NULL;
ALTER TABLE gift_batch FORCE ROW LEVEL SECURITY;
