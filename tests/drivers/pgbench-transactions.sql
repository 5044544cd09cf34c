-- Duplicates of one's own and of others, who may still be at it: then the INSERT waits. All go up,
-- so that nobody waits for each other.
\set id random(1, 19)
BEGIN;
INSERT INTO events VALUES (:id, 'first');
INSERT INTO events VALUES (:id, 'again');
INSERT INTO events VALUES (:id, 'again'), (:id + 1, 'next');
INSERT INTO events VALUES (100 + nextval('numbers'), 'unique');
INSERT INTO events VALUES (:id + 1, 'again') RETURNING id;
END;
