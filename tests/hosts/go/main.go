// Package main tries mattn/go-sqlite3: sixteen goroutines share the pool of database/sql, and each of four connections is asked for its hook.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/mattn/go-sqlite3"
)

var walmanager = strings.TrimSuffix(os.Getenv("WALMANAGER"), ".so")

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func open(path string) (*sql.DB, error) {
	// [snippet]
	sql.Register("sqlite3_walmanager", &sqlite3.SQLiteDriver{Extensions: []string{walmanager}})
	db, err := sql.Open("sqlite3_walmanager", path+"?_busy_timeout=20000")
	// [end]
	return db, err
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/mattn/go-sqlite3" {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return "unknown"
}

func main() {
	db := must(open(os.Getenv("DATABASE")))
	db.SetMaxOpenConns(4)
	var group sync.WaitGroup
	for which := 0; which < 16; which++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; n < 50; n++ {
				must(db.Exec("INSERT INTO orders(note, total) VALUES (?, ?)", fmt.Sprint("goroutine ", which), n))
			}
		}()
	}
	group.Wait()
	hooks := []string{}
	var sqlite string
	held := []*sql.Conn{}
	for len(held) < 4 {
		connection := must(db.Conn(context.Background()))
		var hook string
		row := connection.QueryRowContext(context.Background(), "SELECT hook, sqlite_version() FROM wal_metrics")
		if err := row.Scan(&hook, &sqlite); err != nil {
			panic(err)
		}
		hooks = append(hooks, hook)
		held = append(held, connection)
	}
	for _, connection := range held {
		connection.Close()
	}
	if os.Getenv("HOST_LEAVES_OPEN") == "" {
		db.Close()
	}
	fmt.Println(string(must(json.Marshal(map[string]any{"version": version(), "sqlite": sqlite, "hooks": hooks}))))
}
