-- People, how they prove who they are, and what they may.
--
-- Customers belong to a brand; staff belong to none (brand_id NULL). One policy for both: a transaction in a brand sees that
-- brand's rows and no staff, a transaction of the platform sees staff and no brand's rows.

CREATE TABLE account (
    id                  uuid        PRIMARY KEY,
    brand_id            uuid,
    email               text        NOT NULL CHECK (email = lower(email) AND length(email) <= 254),
    -- Argon2id in PHC form over the peppered password; NULL until an invited member of staff chose one.
    password_hash       text        CHECK (password_hash LIKE '$argon2id$%'),
    password_changed_at timestamptz NOT NULL,
    email_verified_at   timestamptz,
    display_name        text        NOT NULL,
    locale              text        NOT NULL,
    country             text        NOT NULL CHECK (country ~ '^([A-Z]{2})?$'),
    created_at          timestamptz NOT NULL,
    -- Version as an aggregate of events.
    event_version       bigint      NOT NULL DEFAULT 0,
    CONSTRAINT account_email UNIQUE NULLS NOT DISTINCT (brand_id, email),
    UNIQUE (brand_id, id)
);
CREATE INDEX account_newest ON account (brand_id, id DESC);
CREATE INDEX account_prefix ON account (brand_id, email text_pattern_ops);
ALTER TABLE account ENABLE ROW LEVEL SECURITY;
ALTER TABLE account FORCE ROW LEVEL SECURITY;
CREATE POLICY account_scope ON account
    USING (brand_id IS NOT DISTINCT FROM ottery_brand()) WITH CHECK (brand_id IS NOT DISTINCT FROM ottery_brand());

CREATE TABLE session (
    id                uuid        PRIMARY KEY,
    brand_id          uuid,
    account_id        uuid        NOT NULL REFERENCES account (id),
    -- SHA-256 of the 256-bit secret in the cookie; the secret itself is nowhere.
    secret_hash       bytea       NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    -- An enrolment session may only enrol a second factor.
    kind              text        NOT NULL CHECK (kind IN ('full', 'enrolment')),
    user_agent        text        NOT NULL,
    client_ip         text        NOT NULL,
    created_at        timestamptz NOT NULL,
    last_seen_at      timestamptz NOT NULL,
    -- When the person last proved who they are.
    authenticated_at  timestamptz NOT NULL,
    idle_deadline     timestamptz NOT NULL,
    absolute_deadline timestamptz NOT NULL,
    revoked_at        timestamptz,
    FOREIGN KEY (brand_id, account_id) REFERENCES account (brand_id, id),
    CHECK (idle_deadline <= absolute_deadline)
);
CREATE INDEX session_live ON session (account_id) WHERE revoked_at IS NULL;
CREATE INDEX session_ended ON session (absolute_deadline);
ALTER TABLE session ENABLE ROW LEVEL SECURITY;
ALTER TABLE session FORCE ROW LEVEL SECURITY;
CREATE POLICY session_scope ON session
    USING (brand_id IS NOT DISTINCT FROM ottery_brand()) WITH CHECK (brand_id IS NOT DISTINCT FROM ottery_brand());

-- The first factor was right, the second is awaited.
CREATE TABLE sign_in_challenge (
    secret_hash bytea       PRIMARY KEY CHECK (length(secret_hash) = 32),
    brand_id    uuid,
    account_id  uuid        NOT NULL REFERENCES account (id),
    expires_at  timestamptz NOT NULL,
    FOREIGN KEY (brand_id, account_id) REFERENCES account (brand_id, id)
);
CREATE INDEX sign_in_challenge_account ON sign_in_challenge (account_id);
ALTER TABLE sign_in_challenge ENABLE ROW LEVEL SECURITY;
ALTER TABLE sign_in_challenge FORCE ROW LEVEL SECURITY;
CREATE POLICY sign_in_challenge_scope ON sign_in_challenge
    USING (brand_id IS NOT DISTINCT FROM ottery_brand()) WITH CHECK (brand_id IS NOT DISTINCT FROM ottery_brand());

CREATE TABLE second_factor (
    account_id     uuid        PRIMARY KEY REFERENCES account (id),
    brand_id       uuid,
    -- Sealed by the keyring for this row and column.
    secret_sealed  bytea,
    -- Shown but not confirmed yet.
    pending_sealed bytea,
    -- The newest time step a code was accepted for; older and equal ones are replays.
    last_step      bigint      NOT NULL DEFAULT 0,
    confirmed_at   timestamptz,
    FOREIGN KEY (brand_id, account_id) REFERENCES account (brand_id, id),
    CHECK ((confirmed_at IS NULL) = (secret_sealed IS NULL))
);
ALTER TABLE second_factor ENABLE ROW LEVEL SECURITY;
ALTER TABLE second_factor FORCE ROW LEVEL SECURITY;
CREATE POLICY second_factor_scope ON second_factor
    USING (brand_id IS NOT DISTINCT FROM ottery_brand()) WITH CHECK (brand_id IS NOT DISTINCT FROM ottery_brand());

CREATE TABLE recovery_code (
    account_id uuid        NOT NULL REFERENCES account (id),
    brand_id   uuid,
    code_hash  bytea       NOT NULL CHECK (length(code_hash) = 32),
    used_at    timestamptz,
    PRIMARY KEY (account_id, code_hash),
    FOREIGN KEY (brand_id, account_id) REFERENCES account (brand_id, id)
);
ALTER TABLE recovery_code ENABLE ROW LEVEL SECURITY;
ALTER TABLE recovery_code FORCE ROW LEVEL SECURITY;
CREATE POLICY recovery_code_scope ON recovery_code
    USING (brand_id IS NOT DISTINCT FROM ottery_brand()) WITH CHECK (brand_id IS NOT DISTINCT FROM ottery_brand());

-- Failed tries by what was tried (an address, an address from a known device, a second factor), keyed hashes all of them.
-- An address nobody has counts like any other, so counting tells nothing.
CREATE TABLE sign_in_backoff (
    key      bytea       PRIMARY KEY CHECK (length(key) = 32),
    brand_id uuid,
    failures integer     NOT NULL CHECK (failures >= 0),
    last_at  timestamptz NOT NULL
);
CREATE INDEX sign_in_backoff_last ON sign_in_backoff (last_at);
ALTER TABLE sign_in_backoff ENABLE ROW LEVEL SECURITY;
ALTER TABLE sign_in_backoff FORCE ROW LEVEL SECURITY;
CREATE POLICY sign_in_backoff_scope ON sign_in_backoff
    USING (brand_id IS NOT DISTINCT FROM ottery_brand()) WITH CHECK (brand_id IS NOT DISTINCT FROM ottery_brand());

-- From where somebody signed in before: exact for the exemption from back-off, near for the notice of a new device.
CREATE TABLE known_device (
    account_id   uuid        NOT NULL REFERENCES account (id),
    brand_id     uuid,
    exact        bytea       NOT NULL,
    near         bytea       NOT NULL,
    last_seen_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, exact),
    FOREIGN KEY (brand_id, account_id) REFERENCES account (brand_id, id)
);
ALTER TABLE known_device ENABLE ROW LEVEL SECURITY;
ALTER TABLE known_device FORCE ROW LEVEL SECURITY;
CREATE POLICY known_device_scope ON known_device
    USING (brand_id IS NOT DISTINCT FROM ottery_brand()) WITH CHECK (brand_id IS NOT DISTINCT FROM ottery_brand());

-- A mail that was asked for, and the token of its link once it was minted.
CREATE TABLE mail_request (
    id           uuid        PRIMARY KEY,
    brand_id     uuid,
    account_id   uuid        NOT NULL REFERENCES account (id),
    purpose      text        NOT NULL CHECK (purpose IN ('verify_email', 'reset_password', 'already_registered',
                                                         'staff_invitation', 'new_device', 'password_changed')),
    -- The address it was asked for; a token proves that one and no later one.
    email        text        NOT NULL,
    requested_at timestamptz NOT NULL,
    token_hash   bytea       UNIQUE CHECK (length(token_hash) = 32),
    expires_at   timestamptz,
    -- Used, or void because something else made it so.
    closed_at    timestamptz,
    FOREIGN KEY (brand_id, account_id) REFERENCES account (brand_id, id),
    CHECK ((token_hash IS NULL) = (expires_at IS NULL))
);
CREATE INDEX mail_request_open ON mail_request (account_id, purpose) WHERE closed_at IS NULL;
CREATE INDEX mail_request_age ON mail_request (requested_at);
ALTER TABLE mail_request ENABLE ROW LEVEL SECURITY;
ALTER TABLE mail_request FORCE ROW LEVEL SECURITY;
CREATE POLICY mail_request_scope ON mail_request
    USING (brand_id IS NOT DISTINCT FROM ottery_brand()) WITH CHECK (brand_id IS NOT DISTINCT FROM ottery_brand());

-- What sign-up has to know of a brand: its language, and words that make no password.
CREATE TABLE brand_profile (
    brand_id       uuid   PRIMARY KEY,
    version        bigint NOT NULL,
    name           text   NOT NULL,
    slug           text   NOT NULL,
    default_locale text   NOT NULL
);
ALTER TABLE brand_profile ENABLE ROW LEVEL SECURITY;
ALTER TABLE brand_profile FORCE ROW LEVEL SECURITY;
CREATE POLICY brand_profile_scope ON brand_profile USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());
