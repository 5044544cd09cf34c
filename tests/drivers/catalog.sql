-- The tables of a database, their columns, constraints and indexes.
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated, contype::text
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT c.relname, indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid, ''
FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = 'public'::regnamespace
ORDER BY 1, 2, 3
