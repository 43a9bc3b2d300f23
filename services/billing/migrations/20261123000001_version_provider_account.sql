-- Two people who change an account at the same time: the second one is told, and overwrites nothing.
ALTER TABLE provider_account ADD COLUMN version bigint NOT NULL DEFAULT 1;
