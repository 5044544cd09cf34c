<?php
// PHP's PDO: statements are prepared by name on the server, or sent as simple queries where prepares are
// emulated, which is its own part behind the list.

require __DIR__ . '/checks.php';

class WithPdo implements Driver
{
    private ?PDOStatement $insert = null;

    public function __construct(public PDO $db)
    {
    }

    public static function connect(?string $user = null, array $options = []): self
    {
        [$host, $port] = [getenv('PGHOST'), getenv('PGPORT')];
        $source = "pgsql:host=$host;port=$port;dbname=" . getenv('PGDATABASE');
        return new self(new PDO($source, $user ?? getenv('PGUSER'), $user ? 'secret' : null, $options));
    }

    /** What the call returns; what it throws is Shown. */
    private static function shown(callable $call): mixed
    {
        try {
            return $call();
        } catch (PDOException $error) {
            throw new Shown((string) $error->getCode(), $error->getMessage());
        }
    }

    private function run(string $sql, array $parameters): PDOStatement
    {
        return self::shown(function () use ($sql, $parameters) {
            // Its own marks for parameters.
            $statement = $this->db->prepare(preg_replace('/\$\d+/', '?', $sql));
            $statement->execute($parameters);
            return $statement;
        });
    }

    public function count(string $sql): int
    {
        return self::shown(fn () => $this->db->exec($sql));
    }

    public function with(string $sql, array $parameters): int
    {
        return $this->run($sql, $parameters)->rowCount();
    }

    public function prepared(int $id, string $kind): int
    {
        $this->insert ??= $this->db->prepare('INSERT INTO events VALUES (?, ?)');
        self::shown(fn () => $this->insert->execute([$id, $kind]));
        return $this->insert->rowCount();
    }

    public function rows(string $sql, array $parameters = []): array
    {
        return $this->run($sql, $parameters)->fetchAll(PDO::FETCH_COLUMN);
    }

    /** It has no batches: one statement is executed many times. */
    public function batch(string $table, array $ids): void
    {
        $statement = $this->db->prepare("INSERT INTO $table VALUES (?, 'x')");
        foreach ($ids as $id) {
            $statement->execute([$id]);
        }
    }

    public function copyIn(string $table, array $lines): void
    {
        $this->db->pgsqlCopyFromArray($table, $lines);
    }

    public function copyOut(string $table): array
    {
        return $this->db->pgsqlCopyToArray($table);
    }

    public function heard(): string
    {
        $this->count('LISTEN ears');
        $this->count("NOTIFY ears, 'hello'");
        return $this->db->pgsqlGetNotify(PDO::FETCH_ASSOC, 30_000)['payload'];
    }

    public function cancelled(string $sql, callable $asleep): void
    {
        throw new Missing('it has none');
    }
}

$name = fn (PDO $db) => 'PHP ' . PHP_VERSION . ', libpq ' . $db->getAttribute(PDO::ATTR_CLIENT_VERSION);
echo 'driver ', $name(WithPdo::connect()->db), "\n";
run(WithPdo::class);

foreach (['emulated prepares' => PDO::ATTR_EMULATE_PREPARES, 'prepares disabled' => PDO::PGSQL_ATTR_DISABLE_PREPARES] as $name => $option) {
    $db = WithPdo::connect(null, [$option => true]);
    $db->count('TRUNCATE events, loads, other');
    equal("$name: autocommit", inserts($db, 1, 1, 2), [1, 0, 1]);
    equal("$name: transaction", begin($db, fn () => inserts($db, 1, 3, 3)), [0, 1, 0]);
    $returned = fn ($id) => $db->rows("INSERT INTO events VALUES ($1, 'x') RETURNING id", [$id]);
    equal("$name: returning", [$returned(4), $returned(4)], [[4], []]);
    $script = "INSERT INTO events VALUES (5, 'x'); INSERT INTO events VALUES (1, 'x')";
    fails("$name: several statements", '23505', fn () => $db->count($script));
    begin($db, fn () => $db->count($script));
    equal("$name: stored", $db->rows('SELECT id FROM events ORDER BY id'), [1, 2, 3, 4, 5]);
}

// By the driver's own transactions, and savepoints.
$db->db->beginTransaction();
$db->count('SAVEPOINT own');
equal('in a savepoint', inserts($db, 1, 6, 6), [0, 1, 0]);
$db->count('ROLLBACK TO own');
equal('behind its rollback', inserts($db, 1, 6, 6), [0, 1, 0]);
$db->count('RELEASE own');
$db->db->commit();
$db->db->beginTransaction();
equal('before a rollback', inserts($db, 7, 7), [1, 0]);
$db->db->rollBack();
equal('stored around them', $db->rows('SELECT max(id) FROM events'), [6]);
