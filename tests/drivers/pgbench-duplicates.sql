-- Twenty keys for hundreds of inserts, from clients that race for them.
\set id random(1, 20)
INSERT INTO events VALUES (:id, 'again');
