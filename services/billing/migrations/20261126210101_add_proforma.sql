-- An invoice may ask for its money before it is one: a pro forma has a number of its own series and is in no books. The first
-- money that comes for it makes it an invoice, with the number of an invoice.
ALTER TABLE invoice
    ADD COLUMN proforma_series text,
    ADD COLUMN proforma_year   integer,
    ADD COLUMN proforma_seq    bigint,
    ADD COLUMN proforma_at     timestamptz;
CREATE UNIQUE INDEX invoice_proforma_once ON invoice (entity_id, proforma_series, proforma_year, proforma_seq);

-- The rules about numbers are written anew; they had no names.
DO $$
DECLARE rule text;
BEGIN
    FOR rule IN SELECT conname FROM pg_constraint
                 WHERE conrelid = 'invoice'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%number_seq%' LOOP
        EXECUTE format('ALTER TABLE invoice DROP CONSTRAINT %I', rule);
    END LOOP;
END $$;
ALTER TABLE invoice
    ADD CONSTRAINT invoice_number_whole CHECK ((number_seq IS NULL) = (series IS NULL)
        AND (number_seq IS NULL) = (number_year IS NULL) AND (number_seq IS NULL) = (issued_at IS NULL)),
    ADD CONSTRAINT invoice_proforma_whole CHECK ((proforma_seq IS NULL) = (proforma_series IS NULL)
        AND (proforma_seq IS NULL) = (proforma_year IS NULL) AND (proforma_seq IS NULL) = (proforma_at IS NULL)),
    ADD CONSTRAINT invoice_draft_unnumbered CHECK (state <> 'draft' OR (number_seq IS NULL AND proforma_seq IS NULL)),
    ADD CONSTRAINT invoice_numbered CHECK (state = 'draft' OR number_seq IS NOT NULL
        OR (proforma_seq IS NOT NULL AND state IN ('open', 'void')));

ALTER TABLE invoice_rules ADD COLUMN proforma boolean NOT NULL DEFAULT false;
