-- How many elastic instances of a service others may not take back, as its user has set it.

ALTER TABLE execution ADD COLUMN elastic_min jsonb NOT NULL DEFAULT '{}';
