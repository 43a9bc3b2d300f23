-- Saved methods that expire: when each is looked at next, and of which expiry its owner was told. Looked through for all brands: ids,
-- instants and days, nothing else, hence no row-level security.
CREATE TABLE method_expiry (
    method_id uuid        PRIMARY KEY,
    brand_id  uuid        NOT NULL,
    -- Infinity: nothing is to be said about it any more.
    due_at    timestamptz NOT NULL,
    -- The last day of the card the mail was about: another card in its place is told of again.
    told      date,
    told_at   timestamptz,
    CHECK ((told IS NULL) = (told_at IS NULL))
);
CREATE INDEX method_expiry_due ON method_expiry (brand_id, due_at);

-- Those there are; the owner of the tables is no brand, so its wall is lowered for this statement. Each is looked at once, which
-- finds out when it is due.
ALTER TABLE payment_method NO FORCE ROW LEVEL SECURITY;
INSERT INTO method_expiry (method_id, brand_id, due_at)
SELECT id, brand_id, timestamptz 'epoch' FROM payment_method WHERE expires_on IS NOT NULL AND removed_at IS NULL;
ALTER TABLE payment_method FORCE ROW LEVEL SECURITY;
