-- What each user has used for each team, so that a new master knows whose turn it is.

CREATE TABLE balance (
    team text COLLATE "C" NOT NULL, -- empty: none
    "user" text COLLATE "C" NOT NULL,
    document jsonb NOT NULL, -- the whole balance, as zoe.model.codec writes it
    PRIMARY KEY (team, "user")
) WITH (fillfactor = 50); -- a page has room for the next versions of its few rows
