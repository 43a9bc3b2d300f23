-- Resellers and whose customers their clients are. While a reseller does not pay, clients are served for a grace.

CREATE TABLE reseller (
    brand_id   uuid        NOT NULL,
    account_id uuid        NOT NULL,
    -- Whole days of 24 hours from the due date of what is not paid until clients are not served any more.
    grace_days integer     NOT NULL CHECK (grace_days BETWEEN 0 AND 365),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (brand_id, account_id),
    FOREIGN KEY (brand_id, account_id) REFERENCES customer (brand_id, account_id)
);

-- A client has one reseller, and is none.
CREATE TABLE reseller_client (
    brand_id    uuid        NOT NULL,
    account_id  uuid        NOT NULL,
    reseller_id uuid        NOT NULL,
    since       timestamptz NOT NULL,
    PRIMARY KEY (brand_id, account_id),
    CHECK (account_id <> reseller_id),
    FOREIGN KEY (brand_id, account_id) REFERENCES customer (brand_id, account_id),
    FOREIGN KEY (brand_id, reseller_id) REFERENCES reseller (brand_id, account_id)
);
CREATE INDEX reseller_client_of ON reseller_client (brand_id, reseller_id, account_id);

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['reseller', 'reseller_client'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;

-- Brands that have resellers. A platform table: the worker looks across brands, then works in one at a time.
CREATE TABLE reseller_brand (
    brand_id uuid PRIMARY KEY
);

-- Which clients stopped being served because of their reseller.
CREATE INDEX subscription_reseller_stopped ON subscription (brand_id, id) WHERE cause = 'reseller';

-- What a reseller owes the longest and past the grace at `at`, unless a payment of it is under way. The one place that says so.
CREATE FUNCTION lapsed_reseller(at timestamptz)
RETURNS TABLE (account_id uuid, invoice_id uuid, lapsed_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (r.account_id) r.account_id, i.id, i.due_at + make_interval(hours => 24 * r.grace_days)
      FROM reseller r
      JOIN invoice i ON i.brand_id = r.brand_id AND i.account_id = r.account_id AND i.state = 'open'
     WHERE r.brand_id = ottery_brand() AND i.due_at + make_interval(hours => 24 * r.grace_days) <= at
       AND NOT EXISTS (
           SELECT FROM payment p
            WHERE p.brand_id = i.brand_id
              AND (p.invoice_id = i.id
                   OR p.id IN (SELECT s.payment_id FROM payment_share s
                                WHERE s.brand_id = i.brand_id AND s.invoice_id = i.id))
              AND CASE WHEN p.kind = 'hosted' THEN p.state = 'pending' AND p.is_processing
                       ELSE p.state IN ('requested', 'sent', 'pending', 'unknown') END)
     ORDER BY r.account_id, i.due_at, i.id
$$;
