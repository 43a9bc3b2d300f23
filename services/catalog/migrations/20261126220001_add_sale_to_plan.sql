-- How many can be sold and when. Not part of a version: what was sold stays as it was sold.
ALTER TABLE plan
    -- None: no limit.
    ADD COLUMN stock      integer CHECK (stock >= 0),
    ADD COLUMN sale_from  timestamptz,
    ADD COLUMN sale_until timestamptz,
    ADD CHECK (sale_until > sale_from);

-- A pass: paid once, over at the end of its term.
ALTER TABLE price ADD COLUMN once boolean NOT NULL DEFAULT false;
