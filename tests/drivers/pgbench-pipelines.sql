-- The same, and the whole transaction in one flight with one Sync.
\set id random(1, 19)
\startpipeline
BEGIN;
INSERT INTO events VALUES (:id, 'first');
INSERT INTO events VALUES (:id, 'again');
INSERT INTO events VALUES (:id, 'again'), (:id + 1, 'next');
INSERT INTO events VALUES (100 + nextval('numbers'), 'unique');
INSERT INTO events VALUES (:id + 1, 'again') RETURNING id;
END;
\endpipeline
