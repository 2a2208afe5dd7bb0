-- Where the master that leads is reached, since when it leads, and which masters stand by.

ALTER TABLE leader ADD COLUMN endpoint text NOT NULL DEFAULT '';

ALTER TABLE leader ADD COLUMN since timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00';

CREATE TABLE standby (
    holder text COLLATE "C" PRIMARY KEY,
    seen_at timestamptz NOT NULL -- when it looked last whether it can lead
);
