-- Whose message it is, so that one brand's backlog is told apart from another's. NULL: the platform's, or older than
-- this column.
ALTER TABLE delivery ADD COLUMN brand_id uuid;
CREATE INDEX delivery_queue ON delivery (consumer, id) INCLUDE (brand_id);
DROP INDEX delivery_consumer;
