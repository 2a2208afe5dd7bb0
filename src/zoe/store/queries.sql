-- Every statement of zoe/store/postgres.py. "-- name: x" begins one; {x} inserts another.

-- name: columns
id, name, owner, team, zapp::text AS zapp, submitted_at, status, desired, desired_by, generation, elastic,
elastic_min, started_at, ended_at, ending, reasons, queue_position, time_limit_seconds, forecast, first_forecast

-- name: columns_and_instances
{columns}, (
    SELECT jsonb_agg(instance.document ORDER BY instance.service, instance.ordinal)
    FROM instance WHERE instance.execution_id = execution.id
) AS instances

-- name: now
extract(epoch FROM clock_timestamp())::double precision

-- name: lock_history
-- Whoever writes history does it alone until its commit: so ids become visible in their order, and
-- a reader that goes on after the last id it saw misses nothing.
SELECT pg_advisory_xact_lock(1517249863, 0)

-- name: notify
SELECT pg_notify('zoe_changes', %(payload)s)

-- name: submit
WITH new AS (
    INSERT INTO execution (name, owner, team, zapp, source, idempotency_key, submitted_at)
    VALUES (%(name)s, %(owner)s, %(team)s, %(zapp)s, %(source)s, %(idempotency_key)s, {now})
    ON CONFLICT (owner, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING *
), event AS (
    INSERT INTO execution_event (execution_id, at, kind, message, detail)
    SELECT id, submitted_at, %(kind)s, %(message)s, %(detail)s FROM new
)
SELECT {columns}, NULL AS instances, pg_notify('zoe_changes', id::text) FROM new AS execution

-- name: by_key
SELECT {columns_and_instances} FROM execution
WHERE owner = %(owner)s AND idempotency_key = %(idempotency_key)s

-- name: lock_execution
SELECT {columns_and_instances} FROM execution WHERE id = %(id)s FOR UPDATE

-- name: desire
WITH changed AS (
    UPDATE execution
    SET desired = %(desired)s, desired_by = %(by)s, generation = generation + 1
    WHERE id = %(id)s
    RETURNING id
)
INSERT INTO execution_event (execution_id, at, kind, message, detail)
SELECT id, {now}, %(kind)s, %(message)s, %(detail)s FROM changed

-- name: scale
WITH changed AS (
    UPDATE execution
    SET elastic = elastic || jsonb_build_object(%(service)s::text, %(elastic)s::bigint),
        elastic_min = elastic_min || jsonb_build_object(%(service)s::text, %(elastic_min)s::bigint),
        generation = generation + 1
    WHERE id = %(id)s
    RETURNING id
)
INSERT INTO execution_event (execution_id, at, kind, message, detail)
SELECT id, {now}, %(kind)s, %(message)s, %(detail)s FROM changed

-- name: get
SELECT {columns_and_instances} FROM execution WHERE id = %(id)s

-- name: source
SELECT source FROM execution WHERE id = %(id)s

-- name: find_by_id
SELECT {columns_and_instances} FROM execution
WHERE id = %(id)s AND (%(owner)s::text IS NULL OR owner = %(owner)s)

-- name: find_by_name
SELECT {columns_and_instances} FROM execution
WHERE name = %(name)s AND (%(owner)s::text IS NULL OR owner = %(owner)s)
ORDER BY id DESC LIMIT 1

-- name: names_with_prefix
SELECT DISTINCT name FROM execution
WHERE name >= %(prefix)s AND name < %(after)s AND (%(owner)s::text IS NULL OR owner = %(owner)s)
ORDER BY name LIMIT %(limit)s

-- name: page
SELECT {columns}, NULL AS instances FROM execution

-- name: history
SELECT id, execution_id, at, kind, message, detail FROM execution_event
WHERE id > %(after)s ORDER BY id LIMIT %(limit)s

-- name: history_of_one
SELECT id, execution_id, at, kind, message, detail FROM execution_event
WHERE execution_id = %(id)s AND id > %(after)s ORDER BY id LIMIT %(limit)s

-- name: history_newest
SELECT id, execution_id, at, kind, message, detail FROM execution_event
WHERE id > %(after)s ORDER BY id DESC LIMIT %(limit)s

-- name: history_of_one_newest
SELECT id, execution_id, at, kind, message, detail FROM execution_event
WHERE execution_id = %(id)s AND id > %(after)s ORDER BY id DESC LIMIT %(limit)s

-- name: nodes
SELECT document FROM node ORDER BY name

-- name: counts
SELECT status, count FROM execution_count WHERE count > 0

-- name: load
SELECT {columns_and_instances} FROM execution
WHERE status NOT IN ('terminated', 'failed') ORDER BY id

-- name: intents
SELECT {columns_and_instances} FROM execution
WHERE generation <> acknowledged_generation ORDER BY id

-- name: fence
SELECT fence(%(epoch)s)

-- name: set_status
WITH changed AS (
    UPDATE execution
    SET status = %(status)s,
        started_at = CASE WHEN %(status)s = 'starting' THEN %(at)s ELSE started_at END,
        time_limit_seconds = coalesce(%(time_limit_seconds)s, time_limit_seconds),
        ended_at = CASE WHEN %(is_ended)s THEN %(at)s END,
        ending = coalesce(%(end)s::jsonb, ending),
        reasons = CASE WHEN %(status)s = 'queued' THEN reasons ELSE '[]' END,
        queue_position = CASE WHEN %(status)s = 'queued' THEN queue_position END,
        forecast = CASE WHEN %(status)s = 'queued' THEN forecast END
    WHERE id = %(id)s
    RETURNING id
)
INSERT INTO execution_event (execution_id, at, kind, message, detail)
SELECT id, %(at)s, %(kind)s, %(message)s, %(detail)s FROM changed

-- name: set_instance
WITH changed AS (
    INSERT INTO instance (execution_id, service, ordinal, attempt, status, node, document)
    SELECT id, %(service)s, %(ordinal)s, %(attempt)s, %(status)s, %(node)s, %(document)s
    FROM execution WHERE id = %(id)s
    ON CONFLICT (execution_id, service, ordinal) DO UPDATE
    SET attempt = excluded.attempt, status = excluded.status, node = excluded.node,
        document = excluded.document
    RETURNING execution_id
)
INSERT INTO execution_event (execution_id, at, kind, message, detail)
SELECT execution_id, %(at)s, %(kind)s, %(message)s, %(detail)s FROM changed

-- name: defer
-- A new place in the queue alone is not worth a line of history.
WITH previous AS (
    SELECT id, reasons FROM execution WHERE id = %(id)s
), changed AS (
    UPDATE execution SET reasons = %(reasons)s, queue_position = %(queue_position)s
    WHERE id = %(id)s AND status IN ('submitted', 'queued')
    RETURNING id, reasons
), event AS (
    INSERT INTO execution_event (execution_id, at, kind, message, detail)
    SELECT id, %(at)s, %(kind)s, %(message)s, %(detail)s
    FROM changed JOIN previous USING (id) WHERE changed.reasons <> previous.reasons
)
SELECT changed.id IS NOT NULL AS is_waiting FROM previous LEFT JOIN changed USING (id)

-- name: foretell
-- The first one with both times is kept: forecasts are judged by it.
WITH told AS (
    SELECT (each ->> 0)::bigint AS id, each -> 1 AS forecast, (each ->> 2)::boolean AS is_whole
    FROM jsonb_array_elements(%(forecasts)s::jsonb) AS each
)
UPDATE execution
SET forecast = told.forecast,
    first_forecast = coalesce(first_forecast, CASE WHEN told.is_whole THEN told.forecast END)
FROM told WHERE execution.id = told.id AND execution.status IN ('submitted', 'queued')

-- name: queue
SELECT {columns}, NULL AS instances FROM execution
WHERE status IN ('submitted', 'queued') AND (%(owner)s::text IS NULL OR owner = %(owner)s)
ORDER BY queue_position NULLS LAST, id LIMIT %(limit)s

-- name: past_forecasts
SELECT first_forecast, started_at FROM execution
WHERE first_forecast IS NOT NULL AND started_at IS NOT NULL
ORDER BY started_at DESC, id DESC LIMIT %(limit)s

-- name: acknowledge
UPDATE execution SET acknowledged_generation = greatest(acknowledged_generation, %(generation)s)
WHERE id = %(id)s

-- name: set_nodes
WITH given AS (
    SELECT document ->> 'name' AS name, document
    FROM jsonb_array_elements(%(nodes)s::jsonb) AS document
), gone AS (
    DELETE FROM node WHERE name NOT IN (SELECT name FROM given)
)
INSERT INTO node (name, at, document) SELECT name, %(at)s, document FROM given
ON CONFLICT (name) DO UPDATE SET at = excluded.at, document = excluded.document

-- name: set_balances
INSERT INTO balance (team, "user", document)
SELECT document ->> 'team', document ->> 'user', document
FROM jsonb_array_elements(%(balances)s::jsonb) AS document
ON CONFLICT (team, "user") DO UPDATE SET document = excluded.document

-- name: balances
SELECT document FROM balance ORDER BY team, "user"

-- name: forget
WITH gone AS (
    DELETE FROM execution
    WHERE id = %(id)s AND desired = 'delete' AND status IN ('terminated', 'failed')
    RETURNING id
)
SELECT id FROM execution WHERE id = %(id)s AND id NOT IN (SELECT id FROM gone)

-- name: delete
DELETE FROM execution WHERE id = %(id)s

-- name: look_at_leader
SELECT epoch, holder IS NULL OR expires_at <= clock_timestamp() AS is_free FROM leader

-- name: stand_by
-- Not at every look, which are many: each one leaves a dead row behind.
INSERT INTO standby AS one (holder, seen_at) VALUES (%(holder)s, clock_timestamp())
ON CONFLICT (holder) DO UPDATE SET seen_at = excluded.seen_at
WHERE one.seen_at < clock_timestamp() - make_interval(secs => 1)

-- name: stand_by_no_more
DELETE FROM standby WHERE holder = %(holder)s
OR seen_at < clock_timestamp() - make_interval(secs => 3600)

-- name: masters
SELECT CASE WHEN expires_at > clock_timestamp() THEN holder END AS holder, endpoint, epoch,
    extract(epoch FROM since)::double precision AS since,
    ARRAY(
        SELECT standby.holder FROM standby
        WHERE seen_at > clock_timestamp() - make_interval(secs => 5) ORDER BY 1
    ) AS standing_by
FROM leader

-- name: lock_leader
SELECT epoch, holder IS NULL OR expires_at <= clock_timestamp() AS is_free FROM leader FOR UPDATE

-- name: is_session_gone
-- The leader's session holds this lock as long as it lives; we get it only when it does not.
SELECT pg_try_advisory_xact_lock(1517249864, %(epoch)s::integer) AS is_gone

-- name: take_lease
UPDATE leader
SET epoch = epoch + 1, holder = %(holder)s, endpoint = %(endpoint)s, since = clock_timestamp(),
    expires_at = clock_timestamp() + make_interval(secs => %(ttl)s)
RETURNING epoch

-- name: hold_session_lock
SELECT pg_try_advisory_lock(1517249864, %(epoch)s::integer) AS is_held

-- name: renew_lease
UPDATE leader SET expires_at = clock_timestamp() + make_interval(secs => %(ttl)s)
WHERE epoch = %(epoch)s AND holder IS NOT NULL

-- name: resign_lease
UPDATE leader SET holder = NULL, expires_at = '-infinity' WHERE epoch = %(epoch)s

-- name: add_token
INSERT INTO token (hash, name, "user", role, created_at)
VALUES (%(hash)s, %(name)s, %(user)s, %(role)s, %(created_at)s)
ON CONFLICT (hash) DO NOTHING

-- name: find_token
SELECT hash, name, "user", role, created_at FROM token WHERE hash = %(hash)s

-- name: tokens
SELECT hash, name, "user", role, created_at FROM token ORDER BY created_at, hash

-- name: share_version
SELECT version FROM share_version

-- name: shares
SELECT version,
    (SELECT jsonb_agg(document ORDER BY name) FROM user_share) AS users,
    (SELECT jsonb_agg(document ORDER BY name) FROM team_share) AS teams
FROM share_version

-- name: put_user
INSERT INTO user_share (name, document) VALUES (%(name)s, %(document)s)
ON CONFLICT (name) DO UPDATE SET document = excluded.document

-- name: put_team
INSERT INTO team_share (name, document) VALUES (%(name)s, %(document)s)
ON CONFLICT (name) DO UPDATE SET document = excluded.document

-- name: remove_user
DELETE FROM user_share WHERE name = %(name)s

-- name: remove_team
DELETE FROM team_share WHERE name = %(name)s

-- name: marks
SELECT document FROM node_mark ORDER BY name

-- name: put_mark
INSERT INTO node_mark (name, document) VALUES (%(name)s, %(document)s)
ON CONFLICT (name) DO UPDATE SET document = excluded.document

-- name: remove_mark
DELETE FROM node_mark WHERE name = %(name)s

-- name: engines
SELECT document FROM engine ORDER BY name

-- name: add_engine
INSERT INTO engine (name, document) VALUES (%(name)s, %(document)s)
ON CONFLICT (name) DO NOTHING

-- name: let_engine_go
UPDATE engine SET document = document || %(document)s WHERE name = %(name)s

-- name: forget_engine
DELETE FROM engine WHERE name = %(name)s AND (document ->> 'leaving')::boolean

-- name: put_instance_uses
-- Of executions that are still there; what grows never becomes less, whoever sampled it.
INSERT INTO instance_use AS known
SELECT new.* FROM unnest(
    %(execution_id)s::bigint[], %(instance_id)s::text[], %(attempt)s::integer[], %(at)s::double precision[],
    %(cores_milli)s::bigint[], %(memory_bytes)s::bigint[], %(peak_bytes)s::bigint[],
    %(core_seconds)s::double precision[], %(network_bytes)s::bigint[], %(disk_bytes)s::bigint[],
    %(memory_kills)s::integer[]
) AS new (execution_id, instance_id, attempt, at, cores_milli, memory_bytes, peak_bytes, core_seconds,
    network_bytes, disk_bytes, memory_kills)
JOIN execution ON execution.id = new.execution_id
ORDER BY new.execution_id, new.instance_id, new.attempt
FOR KEY SHARE OF execution -- one that is just being deleted is waited for, and then not there
ON CONFLICT (execution_id, instance_id, attempt) DO UPDATE SET
    at = excluded.at,
    cores_milli = excluded.cores_milli,
    memory_bytes = excluded.memory_bytes,
    peak_bytes = greatest(known.peak_bytes, excluded.peak_bytes),
    core_seconds = greatest(known.core_seconds, excluded.core_seconds),
    network_bytes = greatest(known.network_bytes, excluded.network_bytes),
    disk_bytes = greatest(known.disk_bytes, excluded.disk_bytes),
    memory_kills = greatest(known.memory_kills, excluded.memory_kills)

-- name: put_node_uses
INSERT INTO node_use
SELECT * FROM unnest(
    %(name)s::text[], %(is_hour)s::boolean[], %(at)s::double precision[], %(seconds)s::double precision[],
    %(cores_milli)s::bigint[], %(memory_bytes)s::bigint[], %(peak_bytes)s::bigint[],
    %(memory_total_bytes)s::bigint[], %(memory_stall)s::double precision[], %(cpu_stall)s::double precision[]
)
ON CONFLICT (name, is_hour, at) DO NOTHING

-- name: condense_node_uses
WITH old AS (
    DELETE FROM node_use WHERE NOT is_hour AND at < %(minutes_until)s RETURNING *
)
INSERT INTO node_use
SELECT name, true, min(at), sum(seconds),
    floor(sum(cores_milli * greatest(seconds, 1)) / sum(greatest(seconds, 1))),
    floor(sum(memory_bytes * greatest(seconds, 1)) / sum(greatest(seconds, 1))),
    max(peak_bytes), max(memory_total_bytes), avg(memory_stall), avg(cpu_stall)
FROM old GROUP BY name, floor(at / 3600)
ON CONFLICT (name, is_hour, at) DO NOTHING

-- name: forget_node_uses
DELETE FROM node_use WHERE is_hour IN (false, true) AND at < %(kept_from)s

-- name: instance_uses
SELECT instance_id, attempt, at, cores_milli, memory_bytes, peak_bytes, core_seconds, network_bytes, disk_bytes,
    memory_kills
FROM instance_use WHERE execution_id = %(execution_id)s ORDER BY instance_id, attempt

-- name: node_uses
SELECT name, at, seconds, cores_milli, memory_bytes, peak_bytes, memory_total_bytes, memory_stall, cpu_stall
FROM node_use WHERE name = %(name)s AND at >= %(since)s ORDER BY at
