# DBD::Pg: a statement with parameters is prepared by name on the server when it is executed for the
# second time, one without is a simple query. The list and the tables: see README.md.

use strict;
use warnings;
use DBI;

$| = 1;
my $big = "v" x (5 << 20);
my $asleep = "SELECT count(*) FROM pg_stat_activity"
    . " WHERE wait_event = 'PgSleep' AND datname = current_database()";

sub ok { print "ok $_[0]\n" }

sub same {
    my ($name, $actual, $expected) = @_;
    return if $actual eq $expected;
    die "not ok $name: " . substr($actual, 0, 300) . ", expected " . substr($expected, 0, 300) . "\n";
}

sub equal { same(@_); ok($_[0]) }

# The call fails with this SQLSTATE.
sub fails {
    my ($name, $state, $call) = @_;
    my $result = eval { $call->() };
    die "not ok $name: no error but " . ($result // "nothing") . "\n" unless $@;
    same($name, $DBI::state, $state);
    return $@;
}

sub connected {
    my $user = shift;
    return DBI->connect(
        "dbi:Pg:host=$ENV{PGHOST};port=$ENV{PGPORT};dbname=$ENV{PGDATABASE}",
        $user // $ENV{PGUSER}, $user ? "secret" : "",
        { RaiseError => 1, PrintError => 0, AutoCommit => 1 });
}

# How many rows a statement stored; DBI says 0E0 for none.
sub stored { my ($db, $sql, @parameters) = @_; return $db->do($sql, undef, @parameters) + 0 }

sub insert {
    my ($db, $id, $kind) = @_;
    return stored($db, "INSERT INTO events VALUES (?, ?)", $id, $kind // "x");
}

sub inserts { my ($db, @ids) = @_; return join " ", map { insert($db, $_) } @ids }

sub rows { my ($db, $sql, @parameters) = @_; return @{ $db->selectcol_arrayref($sql, undef, @parameters) } }

sub returned { return join(" ", rows(shift, "INSERT INTO events VALUES (?, 'x') RETURNING id", shift)) || "none" }

# In a transaction of the driver's: BEGIN travels ahead of the first statement.
sub begin {
    my ($db, $work) = @_;
    $db->begin_work;
    my $result = $work->();
    $db->commit;
    return $result;
}

# DBI's own way to execute for many; the driver does so one by one.
sub batch {
    my ($db, $table, @ids) = @_;
    my $insert = $db->prepare("INSERT INTO $table VALUES (?, 'x')");
    my ($tuples, $rows) = $insert->execute_array({}, \@ids);
    return "$tuples $rows";
}

my $db = connected();
my $libpq = $db->{pg_lib_version};
printf "driver %s, libpq %d.%d\n", $DBD::Pg::VERSION, $libpq / 10_000, $libpq % 10_000;
for my $user (qw(trust password md5 scram)) {
    my $name = "login, " . ($user eq "scram" ? "scram-sha-256" : $user);
    equal($name, rows(connected($user), "SELECT current_user"), $user);
}
equal("simple insert", stored($db, "INSERT INTO events VALUES (1, 'x')"), 1);
my $prepared = $db->prepare("INSERT INTO events VALUES (?, ?)");
equal("prepared insert", $prepared->execute(2, "x") . $prepared->execute(3, "x"), "11");
equal("duplicate in autocommit",
    stored($db, "INSERT INTO events VALUES (1, 'again')") . ($prepared->execute(2, "again") + 0), "00");
equal("duplicate in a transaction", begin($db, sub { inserts($db, 1, 10, 10, 2, 11) }), "0 1 0 0 1");
my $rows = join ", ", returned($db, 20), returned($db, 20),
    begin($db, sub { join ", ", map { returned($db, $_) } 21, 21, 1 });
equal("duplicate with RETURNING", $rows, "20, none, 21, none, none");
equal("duplicate among several rows",
    stored($db, "INSERT INTO events VALUES (30, 'x'), (?, 'x'), (31, 'x')", 1), 2);
equal("batch in a transaction", begin($db, sub { batch($db, "events", 1, 100 .. 299, 2, 100) }), "203 200");
stored($db, "INSERT INTO loads VALUES (5, 'x')");
equal("batch in autocommit", batch($db, "loads", 1 .. 200, 5), "201 199");

stored($db, "INSERT INTO other VALUES (1)");
my @lines = map { "$_\n" } 2 .. 9999;
$db->do("COPY other FROM STDIN");
$db->pg_putcopydata($_) for @lines;
$db->pg_putcopyend;
$db->do("COPY (SELECT id FROM other ORDER BY id) TO STDOUT");
my ($copied, $line) = ("");
$copied .= $line while $db->pg_getcopydata($line) >= 0;
equal("COPY", $copied, join "", "1\n", @lines);

# It has no cursors but those of SQL.
my @read;
my $counts = begin($db, sub {
    my @counts;
    $db->do("DECLARE reader CURSOR FOR SELECT generate_series(1, 100)");
    while (my @some = rows($db, "FETCH 10 FROM reader")) {
        push @read, @some;
        push @counts, inserts($db, 1, 400 + $_) for grep { $_ % 15 == 0 } @some;
    }
    return "@counts";
});
equal("cursor", "@read $counts", join " ", 1 .. 100, ("0 1") x 6);

$db->do("LISTEN ears");
$db->do("NOTIFY ears, 'hello'");
equal("LISTEN", $db->pg_notifies->[2], "hello");

my $watcher = connected();
my $sleeper = $db->prepare("SELECT pg_sleep(60)", { pg_async => 1 });
$sleeper->execute;
select undef, undef, undef, 0.005 until (rows($watcher, $asleep))[0];
# It waits for the end, and says whether the statement was cancelled.
same("cancel", $db->pg_cancel, 1);
equal("cancel", rows($db, "SELECT 1"), 1);

same("large value", insert($db, 50, $big) . insert($db, 50, "again"), "10");
equal("large value", rows($db, "SELECT kind FROM events WHERE id = 50"), $big);

my $unlisted = sub { $db->do("INSERT INTO other VALUES (1)") };
my $error = fails("error shown", "23505", $unlisted);
same("error shown", $error =~ /other_pkey/ ? 1 : 0, 1);
$db->begin_work;
same("error shown", insert($db, 60), 1);
fails("error shown", "23505", $unlisted);
fails("error shown", "25P02", sub { insert($db, 61) });
$db->rollback;
ok("error shown");

undef $_ for $prepared, $sleeper;
print "restart\n";
<STDIN>;
same("reconnect", eval { rows($db, "SELECT 1") } // "an error", "an error");
$db = connected();
equal("reconnect", inserts($db, 1, 70), "0 1");

# What is its own.

$db->do("TRUNCATE events, loads, other");
stored($db, "INSERT INTO events VALUES (1, 'x')");
# Several statements in one query are one transaction, whose other statements are undone.
my $script = join ";", map { "INSERT INTO events VALUES ($_, 'x')" } 2, 1, 3;
fails("several statements", "23505", sub { $db->do($script) });
equal("nothing of them stored", join(" ", rows($db, "SELECT id FROM events")), "1");
begin($db, sub { $db->do($script) });
equal("several statements in a transaction", join(" ", rows($db, "SELECT id FROM events ORDER BY id")), "1 2 3");

for my $server (0, 1) {
    $db->{pg_server_prepare} = $server;
    $db->begin_work;
    my $insert = $db->prepare("INSERT INTO events VALUES (?, 'x')");
    my @counts = map { $insert->execute($_) + 0 } 1, 4, 4;
    $db->pg_savepoint("own");
    push @counts, map { $insert->execute($_) + 0 } 1, 5, 5;
    $db->pg_rollback_to("own");
    push @counts, map { $insert->execute($_) + 0 } 1, 5, 5;
    $db->pg_release("own");
    $db->rollback;
    equal("savepoints, prepared on the server $server", "@counts", "0 1 0 0 1 0 0 1 0");
}
