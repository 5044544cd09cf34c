// lib/pq and pgx log in over TLS, with the name in the certificate verified, as PGUSER, PGPORT and CA
// say. Neither can bind the login to the channel.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"

	"github.com/jackc/pgx/v4"
	_ "github.com/lib/pq"
)

func main() {
	conninfo := fmt.Sprintf("host=localhost port=%s user=%s password=secret dbname=postgres"+
		" sslmode=verify-full sslrootcert=%s", os.Getenv("PGPORT"), os.Getenv("PGUSER"), os.Getenv("CA"))
	db, err := sql.Open("postgres", conninfo)
	must("lib/pq", err)
	must("lib/pq", db.Ping())
	must("lib/pq", db.Close())
	conn, err := pgx.Connect(context.Background(), conninfo)
	must("pgx", err)
	must("pgx", conn.Ping(context.Background()))
	must("pgx", conn.Close(context.Background()))
	fmt.Println("ok")
}
