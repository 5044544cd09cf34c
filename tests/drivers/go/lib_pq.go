// lib/pq, by database/sql: a statement with parameters is an unnamed one, its Parse in one flight and
// its Bind and Execute in another; one without is a simple query.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/lib/pq"
)

type querier interface {
	ExecContext(context.Context, string, ...interface{}) (sql.Result, error)
	QueryContext(context.Context, string, ...interface{}) (*sql.Rows, error)
	PrepareContext(context.Context, string) (*sql.Stmt, error)
}

type libPq struct {
	querier
	conn   *sql.Conn
	insert *sql.Stmt
}

var background = context.Background()

// The rest is in the environment.
func conninfo(user string) string {
	if user == "" {
		return "sslmode=disable"
	}
	return "sslmode=disable password=secret user=" + user
}

func connect(user string) session { return connectWith(conninfo(user)) }

func connectWith(conninfo string) session {
	db, err := sql.Open("postgres", conninfo)
	must("connect", err)
	conn, err := db.Conn(background)
	must("connect", err)
	return &libPq{querier: conn, conn: conn}
}

func (db *libPq) exec(text string, parameters ...interface{}) (int64, error) {
	result, err := db.ExecContext(background, text, parameters...)
	if err != nil {
		return 0, err
	}
	// Of what stores nothing it knows no count.
	stored, _ := result.RowsAffected()
	return stored, nil
}

func (db *libPq) rows(text string, parameters ...interface{}) ([]string, error) {
	found, err := db.QueryContext(background, text, parameters...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	return values(found)
}

func (db *libPq) prepared(id int, kind string) (int64, error) {
	if db.insert == nil {
		insert, err := db.PrepareContext(background, "INSERT INTO events VALUES ($1, $2)")
		if err != nil {
			return 0, err
		}
		db.insert = insert
	}
	result, err := db.insert.Exec(id, kind)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (db *libPq) begin(work func(session) error) error {
	transaction, err := db.conn.BeginTx(background, nil)
	if err != nil {
		return err
	}
	if err := work(&libPq{querier: transaction, conn: db.conn}); err != nil {
		must("rollback", transaction.Rollback())
		return err
	}
	return transaction.Commit()
}

// It has no batches: one statement is executed many times.
func (db *libPq) batch(table string, ids []int) (int64, error) {
	insert, err := db.PrepareContext(background, "INSERT INTO "+table+" VALUES ($1, 'x')")
	if err != nil {
		return 0, err
	}
	defer insert.Close()
	sum := int64(0)
	for _, id := range ids {
		result, err := insert.Exec(id)
		if err != nil {
			return sum, err
		}
		stored, _ := result.RowsAffected()
		sum += stored
	}
	return sum, nil
}

func (db *libPq) copyIn(table string, ids []int) error {
	transaction, err := db.conn.BeginTx(background, nil)
	if err != nil {
		return err
	}
	copied, err := transaction.Prepare(pq.CopyIn(table, "id"))
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := copied.Exec(id); err != nil {
			return err
		}
	}
	if _, err := copied.Exec(); err != nil {
		return err
	}
	if err := copied.Close(); err != nil {
		return err
	}
	return transaction.Commit()
}

func (db *libPq) copyOut(string) (string, bool, error) { return "", false, nil }

// On a connection of its own.
func (db *libPq) heard(notify func()) (string, error) {
	listener := pq.NewListener(conninfo(""), time.Second, time.Second, nil)
	defer listener.Close()
	if err := listener.Listen("ears"); err != nil {
		return "", err
	}
	notify()
	// nil tells of a new connection.
	for notification := range listener.Notify {
		if notification != nil {
			return notification.Extra, nil
		}
	}
	return "", errors.New("closed")
}

// On a connection of its own, which the driver uses no more.
func (*libPq) cancelled(text string, asleep func()) error {
	db := connect("").(*libPq)
	defer db.close()
	limited, cancel := context.WithCancel(background)
	defer cancel()
	go func() {
		asleep()
		cancel()
	}()
	_, err := db.ExecContext(limited, text)
	return err
}

func (db *libPq) state(err error) string {
	var shown *pq.Error
	if errors.As(err, &shown) {
		return string(shown.Code)
	}
	return fmt.Sprint(err)
}

func (db *libPq) constraint(err error) string {
	var shown *pq.Error
	errors.As(err, &shown)
	return shown.Constraint
}

func (db *libPq) close() { db.conn.Close() }

func main() {
	fmt.Printf("driver %s, %s\n", os.Getenv("DRIVER_VERSION"), runtime.Version())
	list(connect)

	db := connectWith(conninfo("") + " binary_parameters=yes")
	equal("in one flight", inserts(db, "in one flight", 1, 1, 2), []int64{1, 0, 1})
	name := "in one flight, in a transaction"
	must(name, db.begin(func(db session) error {
		same(name, inserts(db, name, 1, 3, 3), []int64{0, 1, 0})
		count(db, name, "SAVEPOINT own")
		same(name, inserts(db, name, 1, 4, 4), []int64{0, 1, 0})
		count(db, name, "ROLLBACK TO own")
		same(name, inserts(db, name, 1, 4, 4), []int64{0, 1, 0})
		return nil
	}))
	equal(name, fmt.Sprint(rows(db, name, "SELECT id::text FROM events ORDER BY id")), "[1 2 3 4]")
	// Several statements in one query are one transaction, whose other statements are undone.
	name = "several statements"
	script := "INSERT INTO events VALUES (5, 'x'); INSERT INTO events VALUES (1, 'x')"
	_, err := db.exec(script)
	same(name, db.state(err), "23505")
	must(name, db.begin(func(db session) error {
		count(db, name, script)
		return nil
	}))
	equal(name, fmt.Sprint(rows(db, name, "SELECT max(id)::text FROM events")), "[5]")
}
