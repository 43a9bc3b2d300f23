-- Payments that no provider reports: bank transfers and cash. People say what came.

-- What payers are told and staff keeps to; NULL at providers that report by themselves.
ALTER TABLE provider_account ADD COLUMN by_hand jsonb;

-- One reference that waits for the payment of one invoice (or of several together).
CREATE TABLE by_hand_wait (
    id                  uuid        PRIMARY KEY,
    brand_id            uuid        NOT NULL,
    -- Which payment it pays now: a new try of the same invoice keeps the reference, because somebody may have sent money by it.
    payment_id          uuid        NOT NULL,
    -- NULL where one payment is for several invoices.
    invoice_id          uuid,
    provider_account_id uuid        NOT NULL,
    reference           text        NOT NULL CHECK (reference ~ '^RF[0-9]{2}[A-Z]{8}$'),
    -- Names its page; whoever knows it may see what is to be paid.
    token               text        NOT NULL UNIQUE CHECK (length(token) = 32),
    title               text        NOT NULL,
    return_url          text        NOT NULL,
    created_at          timestamptz NOT NULL,
    UNIQUE (brand_id, id),
    UNIQUE (brand_id, reference),
    FOREIGN KEY (brand_id, payment_id) REFERENCES payment (brand_id, id),
    FOREIGN KEY (brand_id, provider_account_id) REFERENCES provider_account (brand_id, id)
);
CREATE INDEX by_hand_wait_payment ON by_hand_wait (brand_id, payment_id);
CREATE INDEX by_hand_wait_invoice ON by_hand_wait (brand_id, invoice_id, provider_account_id);
ALTER TABLE by_hand_wait ENABLE ROW LEVEL SECURITY;
ALTER TABLE by_hand_wait FORCE ROW LEVEL SECURITY;
CREATE POLICY by_hand_wait_brand ON by_hand_wait USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- What somebody of staff said has come, or was sent back for a refund. A row stays; what was none after all is marked so.
CREATE TABLE by_hand_record (
    id                  uuid        PRIMARY KEY,
    brand_id            uuid        NOT NULL,
    provider_account_id uuid        NOT NULL,
    -- Both NULL: nobody knows yet whose money it is.
    wait_id             uuid,
    refund_id           uuid,
    state               text        NOT NULL CHECK (state IN ('unassigned', 'waiting', 'confirmed', 'taken_back')),
    amount_minor        bigint      NOT NULL CHECK (amount_minor > 0),
    currency            text        NOT NULL CHECK (length(currency) = 3),
    value_on            date        NOT NULL,
    -- The bank's name of the transfer, or the number of the receipt.
    reference           text        NOT NULL CHECK (reference <> ''),
    -- From whom, as the bank says it.
    sender              text        NOT NULL DEFAULT '',
    note                text        NOT NULL DEFAULT '',
    -- Who said so, or said whose it is: that one cannot be the second person.
    recorded_by         text        NOT NULL,
    recorded_by_person  boolean     NOT NULL,
    recorded_at         timestamptz NOT NULL,
    confirmed_by        text        NOT NULL DEFAULT '',
    confirmed_at        timestamptz,
    taken_back_by       text        NOT NULL DEFAULT '',
    taken_back_at       timestamptz,
    taken_back_reason   text        NOT NULL DEFAULT '',
    -- By which payment it is in the books.
    payment_id          uuid,
    UNIQUE (brand_id, id),
    CHECK (wait_id IS NULL OR refund_id IS NULL),
    CHECK (state <> 'confirmed' OR wait_id IS NOT NULL OR refund_id IS NOT NULL),
    CHECK (state <> 'unassigned' OR wait_id IS NULL AND refund_id IS NULL),
    FOREIGN KEY (brand_id, provider_account_id) REFERENCES provider_account (brand_id, id),
    FOREIGN KEY (brand_id, wait_id) REFERENCES by_hand_wait (brand_id, id),
    FOREIGN KEY (brand_id, payment_id) REFERENCES payment (brand_id, id)
);
-- The same transfer is not booked twice, whoever records it.
CREATE UNIQUE INDEX by_hand_record_once ON by_hand_record (brand_id, provider_account_id, reference) WHERE state <> 'taken_back';
-- A refund is paid out once.
CREATE UNIQUE INDEX by_hand_record_refund ON by_hand_record (brand_id, refund_id) WHERE state <> 'taken_back';
CREATE INDEX by_hand_record_wait ON by_hand_record (brand_id, wait_id);
CREATE INDEX by_hand_record_open ON by_hand_record (brand_id, id) WHERE state IN ('unassigned', 'waiting');
ALTER TABLE by_hand_record ENABLE ROW LEVEL SECURITY;
ALTER TABLE by_hand_record FORCE ROW LEVEL SECURITY;
CREATE POLICY by_hand_record_brand ON by_hand_record USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- Files by which customers show that they have paid. They are kept for a while and never looked into.
CREATE TABLE by_hand_proof (
    id         uuid        PRIMARY KEY,
    brand_id   uuid        NOT NULL,
    wait_id    uuid        NOT NULL,
    name       text        NOT NULL,
    media_type text        NOT NULL CHECK (media_type IN ('application/pdf', 'image/png', 'image/jpeg')),
    content    bytea       NOT NULL CHECK (length(content) BETWEEN 1 AND 5242880),
    sha256     bytea       NOT NULL CHECK (length(sha256) = 32),
    sent_at    timestamptz NOT NULL,
    UNIQUE (brand_id, wait_id, sha256),
    FOREIGN KEY (brand_id, wait_id) REFERENCES by_hand_wait (brand_id, id)
);
-- Pictures are compressed already.
ALTER TABLE by_hand_proof ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE by_hand_proof ENABLE ROW LEVEL SECURITY;
ALTER TABLE by_hand_proof FORCE ROW LEVEL SECURITY;
CREATE POLICY by_hand_proof_brand ON by_hand_proof USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
