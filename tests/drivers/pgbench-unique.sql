INSERT INTO events VALUES (nextval('numbers'), 'unique');
