-- Months of the books that are closed: nothing is booked into them any more, and their trial balance stays as it was.

CREATE TABLE ledger_books (
    brand_id       uuid        NOT NULL,
    entity_id      uuid        NOT NULL,
    -- Nothing may be booked before this instant.
    closed_through timestamptz NOT NULL,
    PRIMARY KEY (brand_id, entity_id)
);

CREATE TABLE ledger_close (
    id            uuid        PRIMARY KEY,
    brand_id      uuid        NOT NULL,
    entity_id     uuid        NOT NULL,
    -- Its first day.
    month         date        NOT NULL CHECK (extract(day FROM month) = 1),
    zone          text        NOT NULL,
    -- The trial balance, byte for byte.
    trial_balance text        NOT NULL,
    sha256        text        NOT NULL CHECK (length(sha256) = 64),
    closed_by     text        NOT NULL,
    closed_at     timestamptz NOT NULL,
    UNIQUE (brand_id, id)
);
CREATE INDEX ledger_close_month ON ledger_close (brand_id, entity_id, month DESC, id DESC);

-- A closed month that was opened again.
CREATE TABLE ledger_reopen (
    close_id    uuid        PRIMARY KEY,
    brand_id    uuid        NOT NULL,
    reason      text        NOT NULL CHECK (reason <> ''),
    reopened_by text        NOT NULL,
    reopened_at timestamptz NOT NULL,
    FOREIGN KEY (brand_id, close_id) REFERENCES ledger_close (brand_id, id)
);

CREATE TRIGGER ledger_close_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_close
    FOR EACH STATEMENT EXECUTE FUNCTION ottery_refuse_change();
CREATE TRIGGER ledger_reopen_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_reopen
    FOR EACH STATEMENT EXECUTE FUNCTION ottery_refuse_change();

DO $$
DECLARE tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['ledger_books', 'ledger_close', 'ledger_reopen'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant);
        EXECUTE format('CREATE POLICY %I ON %I USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand())',
            tenant || '_brand', tenant);
    END LOOP;
END $$;

-- The wall: whoever writes a transfer, by whatever way, writes none into a closed month. One look per statement.
CREATE FUNCTION ottery_refuse_closed_month() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM booked JOIN ledger_books books
                   ON books.brand_id = booked.brand_id AND books.entity_id = booked.entity_id
                WHERE booked.booked_at < books.closed_through) THEN
        RAISE EXCEPTION 'the month is closed: book it now, with a reference to what it corrects'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER transfer_month_open AFTER INSERT ON transfer
    REFERENCING NEW TABLE AS booked FOR EACH STATEMENT EXECUTE FUNCTION ottery_refuse_closed_month();
