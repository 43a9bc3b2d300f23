-- A customer whose subscriptions, invoices and money went to another one of the brand; nothing new begins under it.
ALTER TABLE customer ADD COLUMN merged_into uuid;
ALTER TABLE customer ADD CONSTRAINT customer_merged_elsewhere CHECK (merged_into <> account_id);
