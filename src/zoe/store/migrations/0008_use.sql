-- What instances used in all, and what was used of nodes: by the minute for a day, then by the hour.

CREATE TABLE instance_use (
    execution_id bigint NOT NULL REFERENCES execution ON DELETE CASCADE,
    instance_id text COLLATE "C" NOT NULL,
    attempt integer NOT NULL,
    at double precision NOT NULL, -- of the last sample
    cores_milli bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    peak_bytes bigint NOT NULL,
    core_seconds double precision NOT NULL,
    network_bytes bigint,
    disk_bytes bigint,
    memory_kills integer NOT NULL,
    PRIMARY KEY (execution_id, instance_id, attempt)
) WITH (fillfactor = 50); -- a row is written again each minute while its instance lives

CREATE TABLE node_use (
    name text COLLATE "C" NOT NULL,
    is_hour boolean NOT NULL,
    at double precision NOT NULL, -- when it begins
    seconds double precision NOT NULL,
    cores_milli bigint NOT NULL, -- on average, as all but the peak
    memory_bytes bigint NOT NULL,
    peak_bytes bigint NOT NULL,
    memory_total_bytes bigint NOT NULL,
    memory_stall double precision,
    cpu_stall double precision,
    PRIMARY KEY (name, is_hour, at)
);

CREATE INDEX node_use_at ON node_use (is_hour, at);
