package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
)

// server is one PostgreSQL server as the command line names it.
type server struct {
	name       string // of the node in all that is told
	host, port string
}

// parseServers reads db1,db2:5433,db3=10.0.0.3:5432.
func parseServers(list string) ([]server, error) {
	var servers []server
	seen := map[string]bool{}
	for _, item := range strings.Split(list, ",") {
		name, address, named := strings.Cut(item, "=")
		if !named {
			address = item
		}
		s := server{name: name, host: address, port: "5432"}
		if strings.Contains(address, ":") {
			var err error
			if s.host, s.port, err = net.SplitHostPort(address); err != nil {
				return nil, fmt.Errorf("%w: server %q: %w", errUsage, item, err)
			}
		}
		if !named {
			s.name = s.host
		}
		if s.name == "" || s.host == "" || seen[s.name] {
			return nil, fmt.Errorf("%w: servers %q: want different names, separated by commas", errUsage, list)
		}
		seen[s.name] = true
		servers = append(servers, s)
	}
	return servers, nil
}

// access is how the lab's client reaches the servers.
type access struct {
	servers                  []server
	user, passfile, database string
}

// accessFlags adds the flags of an access; read gives it after they are parsed.
func accessFlags(flags *flag.FlagSet) (read func() (access, error)) {
	list := flags.String("servers", "", "servers of the pair: db1,db2 or NAME=HOST:PORT,...")
	var a access
	flags.StringVar(&a.user, "user", "", "role of the application, which owns the table ledger")
	flags.StringVar(&a.passfile, "passfile", "", "file of passwords, as libpq reads it")
	flags.StringVar(&a.database, "database", "gestionale", "database of the application")
	return func() (access, error) {
		var err error
		a.servers, err = parseServers(*list)
		return a, err
	}
}

func (a access) names() []string {
	names := make([]string, len(a.servers))
	for i, s := range a.servers {
		names[i] = s.name
	}
	return names
}

// connect opens a session at one server.
func (a access) connect(ctx context.Context, name string, writable bool) (*pgx.Conn, error) {
	for _, s := range a.servers {
		if s.name != name {
			continue
		}
		dsn, err := withPassfile(fmt.Sprintf("host=%s port=%s user=%s dbname=%s application_name=ledger",
			quoteDSN(s.host), s.port, quoteDSN(a.user), quoteDSN(a.database)), a.passfile)
		if err != nil {
			return nil, err
		}
		if writable {
			dsn += " target_session_attrs=read-write"
		}
		return pgx.Connect(ctx, dsn)
	}
	return nil, fmt.Errorf("no server is named %s", name)
}
