-- Counts what was told of an objection, so that whoever hears of it knows the newest word. Objections from before are told with
-- their next change.
ALTER TABLE dispute ADD COLUMN version bigint NOT NULL DEFAULT 0 CHECK (version >= 0);
