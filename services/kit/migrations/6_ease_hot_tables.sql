-- While a relay says that it looks by itself, every few milliseconds, commits need not notify it: PostgreSQL lets only one
-- transaction that notifies commit at a time, in the whole cluster, disk write included.
ALTER TABLE relay_lease ADD COLUMN awake_until timestamptz NOT NULL DEFAULT '-infinity';

-- What is pruned by age lies in the order of its age: a block range index finds it and costs no write. What waits unsent of
-- one brand is found among all that waits.
DROP INDEX outbox_sent;
DROP INDEX outbox_unsent_brand;
CREATE INDEX outbox_appended ON outbox USING brin (appended_at);
DROP INDEX inbox_handled;
CREATE INDEX inbox_handled ON inbox USING brin (handled_at);
