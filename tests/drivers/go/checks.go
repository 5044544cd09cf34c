// What the programs in Go share: the list of ../README.md, done by what a program says of its driver.
package main

import (
	"bufio"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"
)

// A session in autocommit, or a transaction in one. Values are read as text.
type session interface {
	exec(sql string, parameters ...interface{}) (int64, error)
	rows(sql string, parameters ...interface{}) ([]string, error)
	prepared(id int, kind string) (int64, error)
	// In a transaction of the driver's, which is rolled back where the work fails.
	begin(work func(session) error) error
	// In the driver's own way to send many statements; how many rows it stored.
	batch(table string, ids []int) (int64, error)
	copyIn(table string, ids []int) error
	// Nothing where the driver cannot.
	copyOut(sql string) (string, bool, error)
	// Listens to `ears`, calls the function, and returns what was heard.
	heard(notify func()) (string, error)
	// The error of a statement that is cancelled when the function returns.
	cancelled(sql string, asleep func()) error
	state(err error) string
	constraint(err error) string
	close()
}

// Rows of one column, as both libraries have them.
type result interface {
	Next() bool
	Scan(into ...interface{}) error
	Err() error
}

func values(found result) ([]string, error) {
	values := []string{}
	for found.Next() {
		var value string
		if err := found.Scan(&value); err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, found.Err()
}

func ok(name string) { fmt.Println("ok " + name) }

func fail(name string, format string, values ...interface{}) {
	text := fmt.Sprintf(format, values...)
	if len(text) > 600 {
		text = text[:600]
	}
	fmt.Println("not ok " + name + ": " + text)
	os.Exit(1)
}

func same(name string, actual, expected interface{}) {
	if !reflect.DeepEqual(actual, expected) {
		fail(name, "%v, expected %v", actual, expected)
	}
}

func equal(name string, actual, expected interface{}) {
	same(name, actual, expected)
	ok(name)
}

func must(name string, err error) {
	if err != nil {
		fail(name, "%v", err)
	}
}

func count(db session, name, sql string, parameters ...interface{}) int64 {
	stored, err := db.exec(sql, parameters...)
	must(name, err)
	return stored
}

func rows(db session, name, sql string, parameters ...interface{}) []string {
	found, err := db.rows(sql, parameters...)
	must(name, err)
	return found
}

func inserts(db session, name string, ids ...int) []int64 {
	counts := []int64{}
	for _, id := range ids {
		counts = append(counts, count(db, name, "INSERT INTO events VALUES ($1, 'x')", id))
	}
	return counts
}

func numbers(first, last int, more ...int) []int {
	all := []int{}
	for number := first; number <= last; number++ {
		all = append(all, number)
	}
	return append(all, more...)
}

func singles(db session) {
	name := "simple insert"
	equal(name, count(db, name, "INSERT INTO events VALUES (1, 'x')"), int64(1))
	prepared := func(name string, id int, kind string) int64 {
		stored, err := db.prepared(id, kind)
		must(name, err)
		return stored
	}
	name = "prepared insert"
	equal(name, []int64{prepared(name, 2, "x"), prepared(name, 3, "x")}, []int64{1, 1})
	name = "duplicate in autocommit"
	counts := []int64{count(db, name, "INSERT INTO events VALUES (1, 'again')"), prepared(name, 2, "again")}
	equal(name, counts, []int64{0, 0})

	name = "duplicate in a transaction"
	must(name, db.begin(func(db session) error {
		same(name, inserts(db, name, 1, 10, 10, 2, 11), []int64{0, 1, 0, 0, 1})
		return nil
	}))
	ok(name)

	name = "duplicate with RETURNING"
	returned := func(db session, id int) string {
		return fmt.Sprint(rows(db, name, "INSERT INTO events VALUES ($1, 'x') RETURNING id::text", id))
	}
	found := returned(db, 20) + returned(db, 20)
	must(name, db.begin(func(db session) error {
		found += returned(db, 21) + returned(db, 21) + returned(db, 1)
		return nil
	}))
	equal(name, found, "[20][][21][][]")
	name = "duplicate among several rows"
	several := "INSERT INTO events VALUES (30, 'x'), ($1, 'x'), (31, 'x')"
	equal(name, count(db, name, several, 1), int64(2))
}

func many(db session) {
	name := "batch in a transaction"
	must(name, db.begin(func(db session) error {
		stored, err := db.batch("events", append([]int{1}, numbers(100, 299, 2, 100)...))
		same(name, stored, int64(200))
		return err
	}))
	ok(name)
	name = "batch in autocommit"
	count(db, name, "INSERT INTO loads VALUES (5, 'x')")
	stored, err := db.batch("loads", numbers(1, 200, 5))
	must(name, err)
	equal(name, stored, int64(199))

	name = "COPY"
	count(db, name, "INSERT INTO other VALUES (1)")
	must(name, db.copyIn("other", numbers(2, 9999)))
	copied, has, err := db.copyOut("COPY (SELECT id FROM other ORDER BY id) TO STDOUT")
	must(name, err)
	if has {
		expected := strings.Fields(strings.Trim(fmt.Sprint(numbers(1, 9999)), "[]"))
		equal(name, strings.Fields(copied), expected)
	} else {
		same(name, rows(db, name, "SELECT count(*)::text FROM other"), []string{"9999"})
		fmt.Println("-- COPY: in alone, which works")
	}

	// They have no cursors but those of SQL.
	name = "cursor"
	must(name, db.begin(func(db session) error {
		count(db, name, "DECLARE reader CURSOR FOR SELECT generate_series(1, 100)::text")
		read := 0
		for some := rows(db, name, "FETCH 10 FROM reader"); len(some) > 0; some = rows(db, name, "FETCH 10 FROM reader") {
			for _, number := range some {
				read++
				same(name, number, fmt.Sprint(read))
				if read%15 == 0 {
					same(name, inserts(db, name, 1, 400+read), []int64{0, 1})
				}
			}
		}
		same(name, read, 100)
		return nil
	}))
	ok(name)
}

func events(db session, connect func(user string) session) {
	other := connect("")
	heard, err := db.heard(func() { count(other, "LISTEN", "NOTIFY ears, 'hello'") })
	must("LISTEN", err)
	equal("LISTEN", heard, "hello")

	asleep := "SELECT pid::text FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
	err = db.cancelled("SELECT pg_sleep(60)", func() {
		for len(rows(other, "cancel", asleep)) == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	})
	same("cancel", db.state(err), "57014")
	equal("cancel", rows(db, "cancel", "SELECT '1'"), []string{"1"})
	other.close()
}

func valuesAndErrors(db session) {
	name, big := "large value", strings.Repeat("v", 5<<20)
	insert := "INSERT INTO events VALUES (50, $1)"
	same(name, []int64{count(db, name, insert, big), count(db, name, insert, "again")}, []int64{1, 0})
	equal(name, rows(db, name, "SELECT kind FROM events WHERE id = 50")[0] == big, true)

	name = "error shown"
	shown := func(db session) error {
		_, err := db.exec("INSERT INTO other VALUES (1)")
		same(name, []string{db.state(err), db.constraint(err)}, []string{"23505", "other_pkey"})
		return err
	}
	shown(db)
	err := db.begin(func(db session) error {
		same(name, inserts(db, name, 60), []int64{1})
		shown(db)
		_, err := db.exec("INSERT INTO events VALUES (61, 'x')")
		return err
	})
	equal(name, db.state(err), "25P02")
}

// All of the list; returns a session that goes on. The user "" is the one of the environment.
func list(connect func(user string) session) session {
	for _, user := range []string{"trust", "password", "md5", "scram"} {
		name := "login, " + strings.Replace(user, "scram", "scram-sha-256", 1)
		db := connect(user)
		equal(name, rows(db, name, "SELECT current_user::text"), []string{user})
		db.close()
	}
	db := connect("")
	singles(db)
	many(db)
	events(db, connect)
	valuesAndErrors(db)
	fmt.Println("restart")
	bufio.NewReader(os.Stdin).ReadString('\n')
	if found, err := db.rows("SELECT '1'"); err == nil {
		fail("reconnect", "the session goes on: %v", found)
	}
	db.close()
	db = connect("")
	equal("reconnect", inserts(db, "reconnect", 1, 70), []int64{0, 1})
	count(db, "emptied", "TRUNCATE events, loads, other")
	return db
}
