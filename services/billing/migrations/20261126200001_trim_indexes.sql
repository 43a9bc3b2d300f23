-- Every invoice and every posting pays for every index, so each has to be needed.

-- The unique key (brand_id, id) is read backwards just as well.
DROP INDEX invoice_newest;
DROP INDEX transfer_newest;

-- One index says both what was booked for something and that it is never booked twice.
DROP INDEX transfer_once;
DROP INDEX transfer_reference;
CREATE UNIQUE INDEX transfer_once ON transfer (brand_id, reference_id, kind, debit, credit, resolves) NULLS NOT DISTINCT;

-- Rows of these two change with every step: room on their pages keeps a claim from touching indexes.
ALTER TABLE due SET (fillfactor = 60);
ALTER TABLE subscription SET (fillfactor = 80);
