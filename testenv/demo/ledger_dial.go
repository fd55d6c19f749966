package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// dial opens a session; node is empty where the server itself has to be asked
// for its name.
type dial func(ctx context.Context) (conn *pgx.Conn, node string, err error)

// roaming goes to whichever server is the primary. The timeout is per server.
func (o *LedgerOptions) roaming(timeout time.Duration) dial {
	if o.Connect != nil {
		return o.byName(timeout, true, o.Names...)
	}
	return func(ctx context.Context) (*pgx.Conn, string, error) {
		conn, err := connectAny(ctx, o.Servers, true, timeout)
		return conn, "", err
	}
}

// pinned gives one dial per server, which never goes to another one.
func (o *LedgerOptions) pinned() []dial {
	var dials []dial
	if o.Connect != nil {
		for _, name := range o.Names {
			dials = append(dials, o.byName(o.ConnectTimeout, false, name))
		}
		return dials
	}
	for _, s := range o.Servers {
		dials = append(dials, func(ctx context.Context) (*pgx.Conn, string, error) {
			conn, err := connectAny(ctx, []*Server{s}, false, o.ConnectTimeout)
			return conn, "", err
		})
	}
	return dials
}

func (o *LedgerOptions) byName(timeout time.Duration, writable bool, names ...string) dial {
	return func(ctx context.Context) (*pgx.Conn, string, error) {
		var errs []error
		for _, name := range names {
			// Around all of it: finding the address of a host that is gone takes
			// longer than any connection, and pgx does not count it in.
			limited, cancel := context.WithTimeout(ctx, timeout)
			conn, err := o.Connect(limited, name, writable)
			cancel()
			if err == nil {
				return conn, name, nil
			}
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		return nil, "", errors.Join(errs...)
	}
}

// connectAny opens a session at the first server that answers, and, when
// writable, that is not in recovery. The timeout is per server.
func connectAny(ctx context.Context, servers []*Server, writable bool, timeout time.Duration) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(MultiDSN("postgres", writable, servers...))
	if err != nil {
		return nil, fmt.Errorf("read connection string: %w", err)
	}
	config.ConnectTimeout = timeout
	return pgx.ConnectConfig(ctx, config)
}

// MultiDSN is a connection string over several servers. With writable, a
// client looks for the one that accepts writes, as an application would.
func MultiDSN(database string, writable bool, servers ...*Server) string {
	var hosts, ports []string
	for _, s := range servers {
		hosts = append(hosts, s.Host)
		ports = append(ports, fmt.Sprint(s.Port))
	}
	dsn := fmt.Sprintf("host=%s port=%s user=postgres dbname=%s sslmode=disable connect_timeout=2",
		strings.Join(hosts, ","), strings.Join(ports, ","), database)
	if writable {
		dsn += " target_session_attrs=read-write"
	}
	return dsn
}
