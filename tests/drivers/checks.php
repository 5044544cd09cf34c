<?php
// What the scripts for PHP share: the list of README.md, done by what a script says of its driver.

set_error_handler(function (int $level, string $text): bool {
    // What a newer PHP would have written otherwise is no failure.
    return $level === E_DEPRECATED || throw new ErrorException($text);
});
const BIG = 5 << 20;
const ASLEEP = "SELECT count(*) FROM pg_stat_activity
    WHERE wait_event = 'PgSleep' AND datname = current_database()";

/** The driver has no such thing. */
class Missing extends Exception
{
}

/** What the server answered with. */
class Shown extends Exception
{
    public function __construct(public string $state, string $message)
    {
        parent::__construct($message);
    }
}

/** A session in autocommit. Its functions throw Shown where the server answers with an error. */
interface Driver
{
    public static function connect(?string $user = null): Driver;

    /** How many rows a statement without parameters stored. */
    public function count(string $sql): int;

    /** The same with parameters, $1 and so on. */
    public function with(string $sql, array $parameters): int;

    public function prepared(int $id, string $kind): int;

    /** The first column. */
    public function rows(string $sql, array $parameters = []): array;

    /** In the driver's own way to send many statements. */
    public function batch(string $table, array $ids): void;

    public function copyIn(string $table, array $lines): void;

    public function copyOut(string $table): array;

    /** Listens to `ears`, notifies it of `hello`, and returns what was heard. */
    public function heard(): string;

    /** A statement that is cancelled when it is asleep: returns when it has ended. */
    public function cancelled(string $sql, callable $asleep): void;
}

function ok(string $name): void
{
    echo "ok $name\n";
}

function same(string $name, mixed $actual, mixed $expected): void
{
    if ($actual !== $expected) {
        $texts = array_map(fn ($it) => substr(json_encode($it), 0, 300), [$actual, $expected]);
        echo "not ok $name: $texts[0], expected $texts[1]\n";
        exit(1);
    }
}

function equal(string $name, mixed $actual, mixed $expected): void
{
    same($name, $actual, $expected);
    ok($name);
}

/** The call fails with this SQLSTATE. */
function fails(string $name, string $state, callable $call): Shown
{
    try {
        $result = $call();
    } catch (Shown $error) {
        same($name, $error->state, $state);
        return $error;
    }
    same($name, $result, "error $state");
}

function insert(Driver $db, int $id, string $kind = 'x'): int
{
    return $db->with('INSERT INTO events VALUES ($1, $2)', [$id, $kind]);
}

function inserts(Driver $db, int ...$ids): array
{
    return array_map(fn ($id) => insert($db, $id), $ids);
}

function begin(Driver $db, callable $work): mixed
{
    $db->count('BEGIN');
    $result = $work();
    $db->count('COMMIT');
    return $result;
}

$list = [
    'simple insert' => function (Driver $db) {
        same('simple insert', $db->count("INSERT INTO events VALUES (1, 'x')"), 1);
    },
    'prepared insert' => function (Driver $db) {
        same('prepared insert', [$db->prepared(2, 'x'), $db->prepared(3, 'x')], [1, 1]);
    },
    'duplicate in autocommit' => function (Driver $db) {
        $counts = [$db->count("INSERT INTO events VALUES (1, 'again')"), $db->prepared(2, 'again')];
        same('duplicate in autocommit', $counts, [0, 0]);
    },
    'duplicate in a transaction' => function (Driver $db) {
        $counts = begin($db, fn () => inserts($db, 1, 10, 10, 2, 11));
        same('duplicate in a transaction', $counts, [0, 1, 0, 0, 1]);
    },
    'duplicate with RETURNING' => function (Driver $db) {
        $one = fn ($id) => $db->rows("INSERT INTO events VALUES ($1, 'x') RETURNING id", [$id]);
        $rows = [$one(20), $one(20), ...begin($db, fn () => [$one(21), $one(21), $one(1)])];
        same('duplicate with RETURNING', $rows, [[20], [], [21], [], []]);
    },
    'duplicate among several rows' => function (Driver $db) {
        $sql = "INSERT INTO events VALUES (30, 'x'), ($1, 'x'), (31, 'x')";
        same('duplicate among several rows', $db->with($sql, [1]), 2);
    },
    'batch in a transaction' => function (Driver $db) {
        begin($db, fn () => $db->batch('events', [1, ...range(100, 299), 2, 100]));
    },
    'batch in autocommit' => function (Driver $db) {
        $db->count("INSERT INTO loads VALUES (5, 'x')");
        $db->batch('loads', [...range(1, 200), 5]);
    },
    'COPY' => function (Driver $db) {
        $db->count('INSERT INTO other VALUES (1)');
        $lines = array_map(fn ($it) => "$it\n", range(2, 9999));
        $db->copyIn('other', $lines);
        $copied = $db->copyOut('other');
        same('COPY', $copied === ["1\n", ...$lines], true);
    },
    'cursor' => function (Driver $db) {
        // They have no cursors but those of SQL.
        [$read, $counts] = begin($db, function () use ($db) {
            [$read, $counts] = [[], []];
            $db->count('DECLARE reader CURSOR FOR SELECT generate_series(1, 100)');
            while ($rows = $db->rows('FETCH 10 FROM reader')) {
                foreach ($rows as $number) {
                    $read[] = $number;
                    if ($number % 15 === 0) {
                        array_push($counts, ...inserts($db, 1, 400 + $number));
                    }
                }
            }
            return [$read, $counts];
        });
        same('cursor', [$read, $counts], [range(1, 100), [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]]);
    },
    'LISTEN' => function (Driver $db) {
        same('LISTEN', $db->heard(), 'hello');
    },
    'cancel' => function (Driver $db) {
        // What is not cancelled outlasts the script.
        $db->cancelled('SELECT pg_sleep(600)', fn (Driver $watcher) => $watcher->rows(ASLEEP) === [1]);
        same('cancel', $db->rows('SELECT 1'), [1]);
    },
    'large value' => function (Driver $db) {
        $big = str_repeat('v', BIG);
        same('large value', [insert($db, 50, $big), insert($db, 50, 'again')], [1, 0]);
        same('large value', $db->rows('SELECT kind FROM events WHERE id = 50') === [$big], true);
    },
    'error shown' => function (Driver $db) {
        $name = 'error shown';
        $unlisted = fn () => $db->count('INSERT INTO other VALUES (1)');
        $error = fails($name, '23505', $unlisted);
        same($name, str_contains($error->getMessage(), 'other_pkey'), true);
        $db->count('BEGIN');
        same($name, insert($db, 60), 1);
        fails($name, '23505', $unlisted);
        fails($name, '25P02', fn () => insert($db, 61));
        $db->count('ROLLBACK');
    },
];

/** All of the list; returns a session that goes on. */
function run(string $driver): Driver
{
    global $list;
    foreach (['trust', 'password', 'md5', 'scram'] as $user) {
        $name = 'login, ' . ($user === 'scram' ? 'scram-sha-256' : $user);
        equal($name, $driver::connect($user)->rows('SELECT current_user'), [$user]);
    }
    $db = $driver::connect();
    foreach ($list as $name => $step) {
        try {
            $step($db);
            ok($name);
        } catch (Missing $why) {
            echo "-- $name: {$why->getMessage()}\n";
        }
    }
    echo "restart\n";
    fgets(STDIN);
    try {
        $rows = $db->rows('SELECT 1');
        same('reconnect', $rows, 'an error');
    } catch (Shown) {
    }
    $db = $driver::connect();
    equal('reconnect', inserts($db, 1, 70), [0, 1]);
    $db->count('TRUNCATE events, loads, other');
    return $db;
}
