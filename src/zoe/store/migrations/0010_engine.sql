-- The Docker Engines that administrators have added to those of the settings.

CREATE TABLE engine (
    name text COLLATE "C" PRIMARY KEY,
    document jsonb NOT NULL -- the whole engine, as zoe.model.codec writes it
);
