-- A line can play from its customer's country alone. `country_lock` none: the plan has no such option, and whatever the panel's people
-- have set stays. `country` is where billing says the customer is, and `line_country` the one the line was last seen to be locked to;
-- both are empty for none.
ALTER TABLE service
    ADD COLUMN country_lock boolean,
    ADD COLUMN country text NOT NULL DEFAULT '',
    ADD COLUMN line_country text NOT NULL DEFAULT '';
