-- A mail that is planned tells nobody yet: its first event is that of its end, version 1.
ALTER TABLE delivery DROP CONSTRAINT delivery_version_check;
ALTER TABLE delivery ADD CONSTRAINT delivery_version_check CHECK (version >= 0);

-- What was known before the newest was heard, so that one statement notes the new and gives the old.
ALTER TABLE subscription_note ADD COLUMN was_cancelled boolean NOT NULL DEFAULT false;
