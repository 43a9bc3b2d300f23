-- Which providers there are is for the build to know, not for the table.

ALTER TABLE provider_account DROP CONSTRAINT provider_account_provider_check;
ALTER TABLE provider_account
    ADD CONSTRAINT provider_account_provider_check CHECK (provider ~ '^[a-z][a-z0-9_]{1,39}$');
