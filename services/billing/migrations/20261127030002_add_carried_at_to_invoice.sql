-- When what was owed for a renewal was too little for a payment of its own: it is served as if paid, and asked for with the
-- next one.
ALTER TABLE invoice ADD COLUMN carried_at timestamptz;
