-- Several renewals of one customer as one invoice: each subscription keeps an invoice of its own, its part, and the parts share
-- one number. The group has an id and nothing else of its own: all it says is the sum of its parts.
ALTER TABLE invoice
    ADD COLUMN group_id uuid,
    ADD COLUMN part     integer;
ALTER TABLE invoice
    ADD CONSTRAINT invoice_part_whole CHECK ((group_id IS NULL) = (part IS NULL) AND (part IS NULL OR part >= 1)),
    ADD CONSTRAINT invoice_part_renews CHECK (group_id IS NULL OR (purpose = 'renewal' AND subscription_id IS NOT NULL));
-- A number is one invoice's, or one group's: an invoice that is no part takes the place of the first part.
DROP INDEX invoice_number_once;
CREATE UNIQUE INDEX invoice_number_once ON invoice (entity_id, series, number_year, number_seq, coalesce(part, 1));
CREATE UNIQUE INDEX invoice_part_once ON invoice (brand_id, group_id, part) WHERE group_id IS NOT NULL;

ALTER TABLE invoice_rules ADD COLUMN consolidated boolean NOT NULL DEFAULT false;
-- What staff chose for one customer; null: as the brand.
ALTER TABLE customer ADD COLUMN consolidated boolean;
