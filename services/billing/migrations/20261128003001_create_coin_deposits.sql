-- Coins that customers send to an address of ours. All instants are real time: chains and prices know no other.

-- The next address of a wallet, by the keyed hash of its first script. A platform table without anything of a tenant: whoever enters the
-- same key again, in another account or brand, goes on counting, so that no address is ever used twice.
CREATE TABLE coin_index (
    key_hash   bytea  PRIMARY KEY CHECK (length(key_hash) = 32),
    next_index bigint NOT NULL DEFAULT 0 CHECK (next_index BETWEEN 0 AND 2147483648)
);

-- One address that waits for one payment.
CREATE TABLE coin_deposit (
    id                  uuid        PRIMARY KEY,
    brand_id            uuid        NOT NULL,
    -- Which payment it pays now: a new try of the same invoice takes the address over.
    payment_id          uuid        NOT NULL,
    -- NULL where one payment is for several invoices.
    invoice_id          uuid,
    provider_account_id uuid        NOT NULL,
    coin                text        NOT NULL,
    network             text        NOT NULL,
    key_hash            bytea       NOT NULL,
    address_index       bigint      NOT NULL CHECK (address_index BETWEEN 0 AND 2147483647),
    address             text        NOT NULL,
    script              text        NOT NULL,
    -- Names its page; whoever knows it may see what is to be paid.
    token               text        NOT NULL UNIQUE CHECK (length(token) = 32),
    title               text        NOT NULL,
    return_url          text        NOT NULL,
    owed_minor          bigint      NOT NULL CHECK (owed_minor > 0),
    currency            text        NOT NULL CHECK (length(currency) = 3),
    -- When the payment was booked.
    settled_at          timestamptz,
    -- The newest block of the last look; a witness that knows less is behind and is not believed.
    tip_height          bigint      NOT NULL DEFAULT 0,
    looked_at           timestamptz,
    created_at          timestamptz NOT NULL,
    UNIQUE (brand_id, id),
    UNIQUE (key_hash, address_index),
    UNIQUE (coin, network, address),
    FOREIGN KEY (brand_id, payment_id) REFERENCES payment (brand_id, id),
    FOREIGN KEY (brand_id, provider_account_id) REFERENCES provider_account (brand_id, id)
);
CREATE INDEX coin_deposit_payment ON coin_deposit (brand_id, payment_id);
CREATE INDEX coin_deposit_invoice ON coin_deposit (brand_id, invoice_id) WHERE settled_at IS NULL;
ALTER TABLE coin_deposit ENABLE ROW LEVEL SECURITY;
ALTER TABLE coin_deposit FORCE ROW LEVEL SECURITY;
CREATE POLICY coin_deposit_brand ON coin_deposit USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- Prices that were told for a deposit, and until when they hold.
CREATE TABLE coin_lock (
    brand_id   uuid           NOT NULL,
    deposit_id uuid           NOT NULL,
    held_from  timestamptz    NOT NULL,
    held_until timestamptz    NOT NULL CHECK (held_until > held_from),
    -- Units of the payment's currency for one whole coin.
    price      numeric(30, 8) NOT NULL CHECK (price > 0),
    -- Smallest units of the coin that are asked for.
    due_units  numeric(78, 0) NOT NULL CHECK (due_units > 0),
    -- Who said so.
    sources    text[]         NOT NULL,
    PRIMARY KEY (brand_id, deposit_id, held_from),
    FOREIGN KEY (brand_id, deposit_id) REFERENCES coin_deposit (brand_id, id)
);
ALTER TABLE coin_lock ENABLE ROW LEVEL SECURITY;
ALTER TABLE coin_lock FORCE ROW LEVEL SECURITY;
CREATE POLICY coin_lock_brand ON coin_lock USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- What was seen at an address. A row stays, whatever the chain says later.
CREATE TABLE coin_transfer (
    brand_id   uuid           NOT NULL,
    deposit_id uuid           NOT NULL,
    -- The chain's name of it: transaction and output.
    reference  text           NOT NULL CHECK (reference <> ''),
    units      numeric(78, 0) NOT NULL CHECK (units >= 0),
    place      text           NOT NULL CHECK (place IN ('mempool', 'mined', 'gone')),
    height     bigint,
    block      text,
    seen_at    timestamptz    NOT NULL,
    -- What a coin cost then, where no price was held.
    market     numeric(30, 8),
    booked_at  timestamptz,
    PRIMARY KEY (brand_id, deposit_id, reference),
    FOREIGN KEY (brand_id, deposit_id) REFERENCES coin_deposit (brand_id, id),
    CHECK ((place = 'mined') = (height IS NOT NULL AND block IS NOT NULL))
);
ALTER TABLE coin_transfer ENABLE ROW LEVEL SECURITY;
ALTER TABLE coin_transfer FORCE ROW LEVEL SECURITY;
CREATE POLICY coin_transfer_brand ON coin_transfer USING (brand_id = ottery_brand()) WITH CHECK (brand_id = ottery_brand());

-- Looks at addresses wait beside calls. Which kinds of errands there are is for the build to know, not for the table.
ALTER TABLE errand DROP CONSTRAINT errand_kind_check;
ALTER TABLE errand ADD CONSTRAINT errand_kind_check CHECK (kind ~ '^[a-z][a-z_]{1,39}$');
