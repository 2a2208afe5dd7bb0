-- The nodes that an administrator has taken out of service, whatever the back-end says of them.

CREATE TABLE node_mark (
    name text COLLATE "C" PRIMARY KEY,
    document jsonb NOT NULL -- the whole mark, as zoe.model.codec writes it
);
