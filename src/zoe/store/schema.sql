-- Executions and their instances, what happened to them, nodes, the lease and access tokens.
-- Times are seconds since 1970, as in the model; only the lease, which compares them, has timestamps.

-- Which status may follow which: the tables of zoe/model/execution.py (a test compares them).

CREATE TABLE execution_transition (
    old text COLLATE "C" NOT NULL,
    new text COLLATE "C" NOT NULL,
    PRIMARY KEY (old, new)
);

INSERT INTO execution_transition (old, new) VALUES
    ('submitted', 'queued'), ('submitted', 'terminated'), ('submitted', 'failed'),
    ('queued', 'starting'), ('queued', 'terminated'), ('queued', 'failed'),
    ('starting', 'running'), ('starting', 'stopping'),
    ('running', 'stopping'),
    ('stopping', 'terminated'), ('stopping', 'failed');

CREATE TABLE instance_transition (
    old text COLLATE "C" NOT NULL,
    new text COLLATE "C" NOT NULL,
    PRIMARY KEY (old, new)
);

INSERT INTO instance_transition (old, new) VALUES
    ('waiting', 'starting'), ('waiting', 'stopped'),
    ('starting', 'running'), ('starting', 'stopping'), ('starting', 'stopped'),
    ('running', 'stopping'), ('running', 'stopped'),
    ('stopping', 'stopped'),
    ('stopped', 'waiting');

CREATE TABLE execution (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    zapp jsonb NOT NULL,
    source text NOT NULL,
    idempotency_key text COLLATE "C",
    submitted_at double precision NOT NULL,
    -- What the user wants: written by the api alone, but for the acknowledgement.
    desired text COLLATE "C" NOT NULL DEFAULT 'run' CHECK (desired IN ('run', 'stop', 'delete')),
    desired_by text COLLATE "C" NOT NULL DEFAULT '',
    elastic jsonb NOT NULL DEFAULT '{}',
    generation bigint NOT NULL DEFAULT 1,
    acknowledged_generation bigint NOT NULL DEFAULT 0,
    -- What is: written by the master alone.
    status text COLLATE "C" NOT NULL DEFAULT 'submitted'
        CHECK (status IN ('submitted', 'queued', 'starting', 'running', 'stopping', 'terminated', 'failed')),
    started_at double precision,
    ended_at double precision,
    ending jsonb,
    reasons jsonb NOT NULL DEFAULT '[]',
    queue_position integer CHECK (queue_position >= 1),
    forecast jsonb,
    first_forecast jsonb, -- what was said first, to be judged by
    team text COLLATE "C" NOT NULL DEFAULT '',
    -- Set at admission where a quota has one and the application has none.
    time_limit_seconds double precision CHECK (time_limit_seconds > 0),
    elastic_min jsonb NOT NULL DEFAULT '{}', -- by service: the user's minimum, beside elastic
    CONSTRAINT acknowledged_is_asked CHECK (acknowledged_generation <= generation),
    CONSTRAINT ended_has_time CHECK ((status IN ('terminated', 'failed')) = (ended_at IS NOT NULL)),
    CONSTRAINT only_waiting_has_reasons CHECK (
        status IN ('submitted', 'queued') OR (reasons = '[]' AND queue_position IS NULL)
    ),
    CONSTRAINT only_waiting_has_forecast CHECK (
        status IN ('submitted', 'queued') OR forecast IS NULL
    )
);

CREATE UNIQUE INDEX execution_idempotency ON execution (owner, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX execution_owner ON execution (owner, id DESC);
CREATE INDEX execution_status ON execution (status, id DESC);
CREATE INDEX execution_name ON execution (name, id DESC);
CREATE INDEX execution_active ON execution (id) WHERE status NOT IN ('terminated', 'failed');
CREATE INDEX execution_unacknowledged ON execution (id)
    WHERE generation <> acknowledged_generation;

CREATE INDEX execution_foretold ON execution (started_at DESC, id DESC)
    WHERE first_forecast IS NOT NULL AND started_at IS NOT NULL;

CREATE TABLE instance (
    execution_id bigint NOT NULL REFERENCES execution ON DELETE CASCADE,
    service text COLLATE "C" NOT NULL,
    ordinal integer NOT NULL CHECK (ordinal >= 0),
    attempt integer NOT NULL CHECK (attempt >= 1),
    status text COLLATE "C" NOT NULL
        CHECK (status IN ('waiting', 'starting', 'running', 'stopping', 'stopped')),
    node text COLLATE "C" NOT NULL,
    document jsonb NOT NULL, -- the whole instance, as zoe.model.codec writes it
    PRIMARY KEY (execution_id, service, ordinal)
);

CREATE TABLE execution_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_id bigint NOT NULL REFERENCES execution ON DELETE CASCADE,
    at double precision NOT NULL,
    kind text COLLATE "C" NOT NULL,
    message text NOT NULL,
    detail jsonb NOT NULL
);

CREATE INDEX execution_event_execution ON execution_event (execution_id, id);

CREATE TABLE node (
    name text COLLATE "C" PRIMARY KEY,
    at double precision NOT NULL,
    document jsonb NOT NULL
);

CREATE TABLE leader (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    epoch bigint NOT NULL,
    holder text, -- NULL: nobody; the last epoch is not valid any more
    expires_at timestamptz NOT NULL,
    endpoint text NOT NULL DEFAULT '',
    since timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00'
);

INSERT INTO leader (epoch, holder, expires_at) VALUES (0, NULL, '-infinity');

CREATE TABLE token (
    hash text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    "user" text NOT NULL,
    role text NOT NULL,
    created_at double precision NOT NULL
);

-- Errors of our own: ZE001 a stale epoch, ZE002 an illegal transition.

CREATE FUNCTION fence(claimed bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- The row lock keeps the next leader out until this transaction has ended.
    PERFORM FROM leader WHERE epoch = claimed AND holder IS NOT NULL FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'epoch % does not hold the lease', claimed USING ERRCODE = 'ZE001';
    END IF;
END $$;

CREATE FUNCTION refuse_execution_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF new.status <> 'submitted' THEN
            RAISE EXCEPTION 'an execution begins as submitted, not as %', new.status
                USING ERRCODE = 'ZE002';
        END IF;
    ELSIF NOT EXISTS (
        SELECT FROM execution_transition AS legal
        WHERE legal.old = old.status AND legal.new = new.status
    ) THEN
        RAISE EXCEPTION 'an execution cannot go from % to %', old.status, new.status
            USING ERRCODE = 'ZE002';
    END IF;
    RETURN new;
END $$;

CREATE TRIGGER legal_transition BEFORE INSERT OR UPDATE OF status ON execution
    FOR EACH ROW EXECUTE FUNCTION refuse_execution_transition();

CREATE FUNCTION refuse_instance_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF new.status NOT IN ('waiting', 'starting') THEN
            RAISE EXCEPTION 'an instance begins as waiting or starting, not as %', new.status
                USING ERRCODE = 'ZE002';
        END IF;
    ELSIF old.status <> new.status AND NOT EXISTS (
        SELECT FROM instance_transition AS legal
        WHERE legal.old = old.status AND legal.new = new.status
    ) THEN
        RAISE EXCEPTION 'an instance cannot go from % to %', old.status, new.status
            USING ERRCODE = 'ZE002';
    ELSIF new.attempt <> old.attempt + (old.status = 'stopped' AND new.status = 'waiting')::integer
    THEN
        RAISE EXCEPTION 'attempt % of an instance cannot follow attempt %', new.attempt, old.attempt
            USING ERRCODE = 'ZE002';
    END IF;
    RETURN new;
END $$;

-- After the insertion: before it, the trigger would also see what ON CONFLICT turns into an update.
CREATE TRIGGER legal_beginning AFTER INSERT ON instance
    FOR EACH ROW EXECUTE FUNCTION refuse_instance_transition();

CREATE TRIGGER legal_transition BEFORE UPDATE ON instance
    FOR EACH ROW EXECUTE FUNCTION refuse_instance_transition();

-- How many executions have each status, kept by the database: counting them takes too long.

CREATE TABLE execution_count (
    status text COLLATE "C" PRIMARY KEY,
    count bigint NOT NULL CHECK (count >= 0)
) WITH (fillfactor = 50); -- a page has room for the next versions of its few rows

CREATE FUNCTION count_execution() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE execution_count SET count = count - 1 WHERE status = old.status;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO execution_count AS known (status, count) VALUES (new.status, 1)
        ON CONFLICT (status) DO UPDATE SET count = known.count + 1;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER counted AFTER INSERT OR DELETE OR UPDATE OF status ON execution
    FOR EACH ROW EXECUTE FUNCTION count_execution();

-- Users and teams with their quotas, weights and guaranteed shares.

CREATE TABLE team_share (
    name text COLLATE "C" PRIMARY KEY,
    document jsonb NOT NULL -- the whole team, as zoe.model.codec writes it
);

CREATE TABLE user_share (
    name text COLLATE "C" PRIMARY KEY,
    document jsonb NOT NULL
);

-- Grows with each change of the two, so that asking whether there was one is cheap.
CREATE TABLE share_version (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    version bigint NOT NULL
);

INSERT INTO share_version (version) VALUES (0);

CREATE FUNCTION count_share_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE share_version SET version = version + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON team_share
    FOR EACH ROW EXECUTE FUNCTION count_share_change();

CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON user_share
    FOR EACH ROW EXECUTE FUNCTION count_share_change();

-- What each user has used for each team, so that a new master knows whose turn it is.

CREATE TABLE balance (
    team text COLLATE "C" NOT NULL, -- empty: none
    "user" text COLLATE "C" NOT NULL,
    document jsonb NOT NULL, -- the whole balance, as zoe.model.codec writes it
    PRIMARY KEY (team, "user")
) WITH (fillfactor = 50); -- a page has room for the next versions of its few rows

-- The nodes that an administrator has taken out of service, whatever the back-end says of them.

CREATE TABLE node_mark (
    name text COLLATE "C" PRIMARY KEY,
    document jsonb NOT NULL -- the whole mark, as zoe.model.codec writes it
);

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

-- The masters that wait until they can lead.

CREATE TABLE standby (
    holder text COLLATE "C" PRIMARY KEY,
    seen_at timestamptz NOT NULL -- when it looked last whether it can lead
);

-- The Docker Engines that administrators have added to those of the settings.

CREATE TABLE engine (
    name text COLLATE "C" PRIMARY KEY,
    document jsonb NOT NULL -- the whole engine, as zoe.model.codec writes it
);
