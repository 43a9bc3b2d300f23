-- Invoices staff write, and credit notes that take back single lines or lower what is owed.

ALTER TABLE invoice DROP CONSTRAINT invoice_purpose_check;
ALTER TABLE invoice ADD CONSTRAINT invoice_purpose_check CHECK (purpose IN ('first', 'renewal', 'upgrade', 'manual'));
CREATE INDEX invoice_draft ON invoice (brand_id, id DESC) WHERE state = 'draft';

-- A credit note settles what is still owed; its `source_id` is its prefixed id.
ALTER TABLE allocation DROP CONSTRAINT allocation_source_check;
ALTER TABLE allocation ADD CONSTRAINT allocation_source_check CHECK (source IN ('payment', 'wallet', 'credit_note'));

-- Which lines of the invoice it takes back, counted from 1; empty: a share of all of them.
ALTER TABLE credit_note ADD COLUMN lines integer[] NOT NULL DEFAULT '{}';
