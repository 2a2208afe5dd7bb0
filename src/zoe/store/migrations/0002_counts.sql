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

INSERT INTO execution_count SELECT status, count(*) FROM execution GROUP BY status;
