// pgx 4: statements with parameters are prepared by name and kept, batches are pipelines with one Sync,
// and COPY is binary. Without parameters it sends a simple query.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

type querier interface {
	Exec(context.Context, string, ...interface{}) (pgconn.CommandTag, error)
	Query(context.Context, string, ...interface{}) (pgx.Rows, error)
	Begin(context.Context) (pgx.Tx, error)
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
	CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error)
}

type pgxSession struct {
	querier
	conn *pgx.Conn
}

var background = context.Background()

// The rest is in the environment.
func connect(user string) session { return connectWith(user, func(*pgx.ConnConfig) {}) }

func connectWith(user string, change func(*pgx.ConnConfig)) session {
	text := "sslmode=disable"
	if user != "" {
		text += " password=secret user=" + user
	}
	config, err := pgx.ParseConfig(text)
	must("connect", err)
	change(config)
	conn, err := pgx.ConnectConfig(background, config)
	must("connect", err)
	return &pgxSession{conn, conn}
}

func (db *pgxSession) exec(sql string, parameters ...interface{}) (int64, error) {
	tag, err := db.Exec(background, sql, parameters...)
	return tag.RowsAffected(), err
}

func (db *pgxSession) rows(sql string, parameters ...interface{}) ([]string, error) {
	found, err := db.Query(background, sql, parameters...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	return values(found)
}

func (db *pgxSession) prepared(id int, kind string) (int64, error) {
	if _, err := db.conn.Prepare(background, "insert", "INSERT INTO events VALUES ($1, $2)"); err != nil {
		return 0, err
	}
	return db.exec("insert", id, kind)
}

// One in another is a savepoint.
func (db *pgxSession) begin(work func(session) error) error {
	transaction, err := db.Begin(background)
	if err != nil {
		return err
	}
	if err := work(&pgxSession{transaction, db.conn}); err != nil {
		must("rollback", transaction.Rollback(background))
		return err
	}
	return transaction.Commit(background)
}

func (db *pgxSession) batch(table string, ids []int) (int64, error) {
	batch := &pgx.Batch{}
	for _, id := range ids {
		batch.Queue("INSERT INTO "+table+" VALUES ($1, 'x')", id)
	}
	results := db.SendBatch(background, batch)
	sum := int64(0)
	for range ids {
		tag, err := results.Exec()
		if err != nil {
			results.Close()
			return sum, err
		}
		sum += tag.RowsAffected()
	}
	return sum, results.Close()
}

func (db *pgxSession) copyIn(table string, ids []int) error {
	source := pgx.CopyFromSlice(len(ids), func(at int) ([]interface{}, error) {
		return []interface{}{ids[at]}, nil
	})
	_, err := db.CopyFrom(background, pgx.Identifier{table}, []string{"id"}, source)
	return err
}

func (db *pgxSession) copyOut(sql string) (string, bool, error) {
	var copied bytes.Buffer
	_, err := db.conn.PgConn().CopyTo(background, &copied, sql)
	return copied.String(), true, err
}

func (db *pgxSession) heard(notify func()) (string, error) {
	if _, err := db.exec("LISTEN ears"); err != nil {
		return "", err
	}
	notify()
	notification, err := db.conn.WaitForNotification(background)
	if err != nil {
		return "", err
	}
	return notification.Payload, nil
}

// A context that ends would end the connection too.
func (db *pgxSession) cancelled(sql string, asleep func()) error {
	done := make(chan error)
	go func() {
		asleep()
		done <- db.conn.PgConn().CancelRequest(background)
	}()
	_, err := db.exec(sql)
	must("cancel", <-done)
	return err
}

func (db *pgxSession) state(err error) string {
	var shown *pgconn.PgError
	if errors.As(err, &shown) {
		return shown.Code
	}
	return fmt.Sprint(err)
}

func (db *pgxSession) constraint(err error) string {
	var shown *pgconn.PgError
	errors.As(err, &shown)
	return shown.ConstraintName
}

func (db *pgxSession) close() { db.conn.Close(background) }

func own(db session, name string) {
	count(db, name, "TRUNCATE events, loads, other")
	equal(name+": autocommit", inserts(db, name, 1, 1, 2), []int64{1, 0, 1})
	must(name, db.begin(func(db session) error {
		same(name, inserts(db, name, 1, 3, 3), []int64{0, 1, 0})
		undone := errors.New("undone")
		err := db.begin(func(db session) error {
			same(name, inserts(db, name, 1, 4, 4), []int64{0, 1, 0})
			return undone
		})
		same(name, err, undone)
		return db.begin(func(db session) error {
			same(name, inserts(db, name, 1, 4, 4), []int64{0, 1, 0})
			return nil
		})
	}))
	stored := rows(db, name, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM events")
	equal(name+": nested transactions", stored, []string{"1 2 3 4"})
	// A batch outside BEGIN is one transaction, whose other statements are undone.
	_, err := db.batch("events", []int{5, 1, 6})
	equal(name+": batch in autocommit", db.state(err), "23505")
	equal(name+": nothing of it stored", rows(db, name, "SELECT max(id)::text FROM events"), []string{"4"})
	db.close()
}

func main() {
	fmt.Printf("driver %s, %s\n", os.Getenv("DRIVER_VERSION"), runtime.Version())
	own(list(connect), "prepared")
	own(connectWith("", func(config *pgx.ConnConfig) { config.BuildStatementCache = nil }), "unnamed")
	own(connectWith("", func(config *pgx.ConnConfig) { config.PreferSimpleProtocol = true }), "simple")
}
