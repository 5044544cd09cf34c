<?php
// PHP's pg_* functions: simple queries by pg_query, extended ones by pg_query_params and pg_execute.

require __DIR__ . '/checks.php';

class WithPgsql implements Driver
{
    private bool $prepared = false;

    public function __construct(private PgSql\Connection $db)
    {
    }

    public static function connect(?string $user = null): self
    {
        // The rest is in the environment.
        return new self(pg_connect($user ? "user=$user password=secret" : '', PGSQL_CONNECT_FORCE_NEW));
    }

    /** The last result of what was sent. Only so does one get at the SQLSTATE. */
    private function result(bool $sent): PgSql\Result
    {
        $result = false;
        while ($sent && $next = pg_get_result($this->db)) {
            $result = $next;
        }
        if ($result === false) {
            throw new Shown('', pg_last_error($this->db));
        }
        if (pg_result_status($result) === PGSQL_FATAL_ERROR) {
            $state = pg_result_error_field($result, PGSQL_DIAG_SQLSTATE);
            // None, where the connection has ended.
            throw new Shown((string) $state, pg_result_error($result));
        }
        return $result;
    }

    private function run(string $sql, array $parameters = []): PgSql\Result
    {
        try {
            $sent = $parameters
                ? pg_send_query_params($this->db, $sql, $parameters)
                : pg_send_query($this->db, $sql);
        } catch (ErrorException $error) {
            throw new Shown('', $error->getMessage());
        }
        return $this->result($sent);
    }

    public function count(string $sql): int
    {
        return pg_affected_rows($this->run($sql));
    }

    public function with(string $sql, array $parameters): int
    {
        return pg_affected_rows($this->run($sql, $parameters));
    }

    public function prepared(int $id, string $kind): int
    {
        if (!$this->prepared) {
            pg_prepare($this->db, 'insert', 'INSERT INTO events VALUES ($1, $2)');
            $this->prepared = true;
        }
        return pg_affected_rows($this->result(pg_send_execute($this->db, 'insert', [$id, $kind])));
    }

    public function rows(string $sql, array $parameters = []): array
    {
        // Everything comes as text.
        $values = pg_fetch_all_columns($this->run($sql, $parameters));
        return array_map(fn ($it) => is_numeric($it) ? (int) $it : $it, $values);
    }

    /** Many statements in one query. */
    public function batch(string $table, array $ids): void
    {
        pg_query($this->db, implode('; ', array_map(fn ($id) => "INSERT INTO $table VALUES ($id, 'x')", $ids)));
    }

    public function copyIn(string $table, array $lines): void
    {
        pg_copy_from($this->db, $table, $lines);
    }

    public function copyOut(string $table): array
    {
        return pg_copy_to($this->db, $table);
    }

    public function heard(): string
    {
        $this->count('LISTEN ears');
        $this->count("NOTIFY ears, 'hello'");
        return pg_get_notify($this->db)['payload'];
    }

    public function cancelled(string $sql, callable $asleep): void
    {
        $watcher = self::connect();
        pg_send_query($this->db, $sql);
        while (!$asleep($watcher)) {
            usleep(5000);
        }
        // It waits for the end, and keeps the answer to itself.
        same('cancel', pg_cancel_query($this->db), true);
    }
}

echo 'driver PHP ', PHP_VERSION, ', libpq ', pg_version(pg_connect(''))['client'], "\n";
$db = run(WithPgsql::class);

$script = fn (int ...$ids) => implode('; ', array_map(fn ($id) => "INSERT INTO events VALUES ($id, 'x')", $ids));
$db->count($script(1));
fails('several statements', '23505', fn () => $db->count($script(2, 1, 3)));
equal('nothing of them stored', $db->rows('SELECT id FROM events'), [1]);
begin($db, fn () => $db->count($script(2, 1, 3)));
equal('several statements in a transaction', $db->rows('SELECT id FROM events ORDER BY id'), [1, 2, 3]);
$db->count('BEGIN');
$db->count('SAVEPOINT own');
equal('in a savepoint', inserts($db, 1, 6, 6), [0, 1, 0]);
$db->count('ROLLBACK TO own');
equal('behind its rollback', inserts($db, 1, 6, 6), [0, 1, 0]);
$db->count('COMMIT');
// What fails without a word to its user ends in a warning of PHP's, and false.
$plain = pg_connect('', PGSQL_CONNECT_FORCE_NEW);
equal('a duplicate warns of nothing', pg_affected_rows(pg_query($plain, $script(1))), 0);
equal('nor does pg_insert', pg_insert($plain, 'events', ['id' => 1, 'kind' => 'x']) !== false, true);
