-- Reads every payment, and lets others write meanwhile.
ALTER TABLE payment VALIDATE CONSTRAINT payment_chosen_account_fkey;
