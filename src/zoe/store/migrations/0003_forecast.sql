-- When an execution that waits is expected to start, and what was said first, to be judged by.

ALTER TABLE execution
    ADD COLUMN forecast jsonb,
    ADD COLUMN first_forecast jsonb,
    ADD CONSTRAINT only_waiting_has_forecast CHECK (
        status IN ('submitted', 'queued') OR forecast IS NULL
    );

CREATE INDEX execution_foretold ON execution (started_at DESC, id DESC)
    WHERE first_forecast IS NOT NULL AND started_at IS NOT NULL;
