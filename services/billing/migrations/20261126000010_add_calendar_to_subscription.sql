-- The paid stretches of time one by one, a change of the anchor that waits, a pause, an announced price. Nullable: a row that was
-- written before, or by a replica that does not know the column, tells what is paid by its dates.
ALTER TABLE subscription ADD COLUMN calendar jsonb;
