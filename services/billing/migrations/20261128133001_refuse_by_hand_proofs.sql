-- What a customer sent as a proof may be none: staff says so, and why.
ALTER TABLE by_hand_proof
    ADD COLUMN refused_at     timestamptz,
    ADD COLUMN refused_by     text NOT NULL DEFAULT '',
    ADD COLUMN refused_reason text NOT NULL DEFAULT '' CHECK (length(refused_reason) <= 800),
    ADD CONSTRAINT by_hand_proof_refused CHECK ((refused_at IS NULL) = (refused_reason = ''));
