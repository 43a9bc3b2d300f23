-- A customer chooses by which account to pay, and accounts are chosen by amount.

-- What an account takes, by currency, in minor units; a currency without an entry: every amount.
ALTER TABLE provider_account ADD COLUMN amounts jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(amounts) = 'array');
-- The account its customer chose; NULL: whichever serves.
ALTER TABLE payment
    ADD COLUMN chosen_account_id uuid,
    ADD FOREIGN KEY (brand_id, chosen_account_id) REFERENCES provider_account (brand_id, id);
