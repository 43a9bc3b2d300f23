-- A customer chooses by which account to pay, and accounts are chosen by amount.

-- What an account takes, by currency, in minor units; a currency without an entry: every amount.
ALTER TABLE provider_account ADD COLUMN amounts jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(amounts) = 'array');
-- The account its customer chose; NULL: whichever serves. Payments there are have chosen none: they are not looked through while
-- others wait to write.
ALTER TABLE payment
    ADD COLUMN chosen_account_id uuid,
    ADD CONSTRAINT payment_chosen_account_fkey
        FOREIGN KEY (brand_id, chosen_account_id) REFERENCES provider_account (brand_id, id) NOT VALID;
