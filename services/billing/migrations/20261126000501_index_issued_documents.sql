-- A day of documents, for exports. The journal needs none: ids of transfers begin with the instant of the booking.
CREATE INDEX invoice_issued ON invoice (brand_id, issued_at) WHERE issued_at IS NOT NULL;
CREATE INDEX credit_note_issued ON credit_note (brand_id, issued_at);
