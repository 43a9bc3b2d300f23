-- Roles held by staff, on the whole platform or in one brand. Platform rows: visible outside any brand only.
CREATE TABLE role_grant (
    id             uuid        PRIMARY KEY,
    account_id     uuid        NOT NULL REFERENCES account (id),
    role           text        NOT NULL CHECK (role IN ('owner', 'brand_admin', 'support_agent', 'finance', 'viewer')),
    -- NULL: the whole platform.
    scope_brand_id uuid,
    granted_by     text        NOT NULL,
    granted_at     timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (account_id, role, scope_brand_id)
);
CREATE INDEX role_grant_brand ON role_grant (scope_brand_id);
ALTER TABLE role_grant ENABLE ROW LEVEL SECURITY;
ALTER TABLE role_grant FORCE ROW LEVEL SECURITY;
CREATE POLICY role_grant_platform ON role_grant USING (ottery_brand() IS NULL) WITH CHECK (ottery_brand() IS NULL);

-- The way in before there is anybody: one row, closed for ever once it was used.
CREATE TABLE setup (
    only_row   boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    token_hash bytea       NOT NULL CHECK (length(token_hash) = 32),
    minted_at  timestamptz NOT NULL DEFAULT now(),
    closed_at  timestamptz,
    account_id uuid        REFERENCES account (id),
    CHECK ((closed_at IS NULL) = (account_id IS NULL))
);
CREATE FUNCTION identity_keep_setup_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.closed_at IS NOT NULL THEN
        RAISE EXCEPTION 'set-up is closed for ever' USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER setup_stays_closed BEFORE UPDATE OR DELETE ON setup
    FOR EACH ROW EXECUTE FUNCTION identity_keep_setup_closed();

CREATE TABLE api_key (
    id           uuid        PRIMARY KEY,
    -- NULL: a key of the whole platform.
    brand_id     uuid,
    -- The member of staff who made it; the key never holds more than they do.
    creator_id   uuid        NOT NULL REFERENCES account (id),
    name         text        NOT NULL,
    permissions  text[]      NOT NULL CHECK (cardinality(permissions) > 0),
    secret_hash  bytea       NOT NULL CHECK (length(secret_hash) = 32),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
CREATE INDEX api_key_newest ON api_key (brand_id, id DESC);
ALTER TABLE api_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_key FORCE ROW LEVEL SECURITY;
CREATE POLICY api_key_scope ON api_key
    USING (brand_id IS NOT DISTINCT FROM ottery_brand()) WITH CHECK (brand_id IS NOT DISTINCT FROM ottery_brand());

-- Where a key lives. Not under row-level security: a key has to lead to its brand before any brand is known, as a host does.
CREATE TABLE api_key_home (
    key_id   uuid PRIMARY KEY REFERENCES api_key (id),
    home_id  uuid
);
