-- Users and teams with their quotas, weights and guaranteed shares; for which team an execution runs.

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

ALTER TABLE execution
    ADD COLUMN team text COLLATE "C" NOT NULL DEFAULT '',
    -- Set at admission where a quota has one and the application has none.
    ADD COLUMN time_limit_seconds double precision CHECK (time_limit_seconds > 0);
