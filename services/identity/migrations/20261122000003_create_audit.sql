-- Who did what: one chain of hashes per brand, and one of the platform (brand_id NULL).
CREATE TABLE audit_entry (
    event_id    uuid        PRIMARY KEY,
    brand_id    uuid,
    sequence    bigint      NOT NULL CHECK (sequence > 0),
    action      text        NOT NULL,
    actor_kind  text        NOT NULL,
    actor_id    text        NOT NULL,
    target_id   text        NOT NULL,
    -- Text and not jsonb: the hash is over these very bytes.
    before_json text        NOT NULL,
    after_json  text        NOT NULL,
    client_ip   text        NOT NULL,
    request_id  text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    -- Of this entry and the hash before; the first entry follows 32 zero bytes.
    hash        bytea       NOT NULL CHECK (length(hash) = 32),
    CONSTRAINT audit_entry_place UNIQUE NULLS NOT DISTINCT (brand_id, sequence)
);
ALTER TABLE audit_entry ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_entry FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_entry_scope ON audit_entry
    USING (brand_id IS NOT DISTINCT FROM ottery_brand()) WITH CHECK (brand_id IS NOT DISTINCT FROM ottery_brand());

CREATE FUNCTION identity_refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the audit chain never change' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_entry_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION identity_refuse_rewrite();

-- The end of each chain, in a place of its own: a chain by itself cannot see that its tail is gone. The row is the lock
-- under which the next sequence number is taken. A platform table: it names brands and counts, nothing more, and tells
-- background work which brands there are. The nil UUID stands for the platform.
CREATE TABLE audit_head (
    chain    uuid   PRIMARY KEY,
    sequence bigint NOT NULL,
    hash     bytea  NOT NULL CHECK (length(hash) = 32)
);
-- The application may add entries and move heads, nothing else.
REVOKE UPDATE, DELETE, TRUNCATE ON audit_entry FROM PUBLIC;
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ottery_identity') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON audit_entry FROM ottery_identity;
        REVOKE DELETE, TRUNCATE ON audit_head FROM ottery_identity;
    END IF;
END $$;
