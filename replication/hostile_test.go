package replication_test

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

// hostile is something that listens where PostgreSQL should: each connection
// is handed to serve.
func hostile(t *testing.T, serve func(net.Conn)) replication.Target {
	t.Helper()
	return replication.Target{Host: "127.0.0.1", Port: testenv.Impostor(t, serve), User: "x", Database: "x", SSLMode: "disable"}
}

// login plays an honest startup, then answers every query with reply.
func login(reply func(query string, b *pgproto3.Backend)) func(net.Conn) {
	return func(c net.Conn) {
		b := pgproto3.NewBackend(c, c)
		if _, err := b.ReceiveStartupMessage(); err != nil {
			return
		}
		b.Send(&pgproto3.AuthenticationOk{})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		for b.Flush() == nil {
			msg, err := b.Receive()
			if err != nil {
				return
			}
			if q, ok := msg.(*pgproto3.Query); ok {
				reply(q.String, b)
			}
		}
	}
}

// rows answers IDENTIFY_SYSTEM with the values and pg_is_in_recovery with role.
func rows(role string, identity ...string) func(string, *pgproto3.Backend) {
	return func(q string, b *pgproto3.Backend) {
		values := identity
		if q != "IDENTIFY_SYSTEM" {
			values = []string{role, "0/1"}
		}
		var desc pgproto3.RowDescription
		var row pgproto3.DataRow
		for i, v := range values {
			desc.Fields = append(desc.Fields, pgproto3.FieldDescription{Name: fmt.Appendf(nil, "c%d", i)})
			row.Values = append(row.Values, []byte(v))
		}
		b.Send(&desc)
		b.Send(&row)
		b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	}
}

func TestWatcher_HostileServer_NeverHealthyNeverPanics(t *testing.T) {
	const id = "7312345678901234567"
	raw := func(b string) func(net.Conn) {
		return func(c net.Conn) {
			buf := make([]byte, 4096)
			if _, err := c.Read(buf); err == nil {
				_, _ = c.Write([]byte(b))
			}
		}
	}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		want  replication.Verdict
		cause string
	}{
		"closes at once":     {func(net.Conn) {}, replication.VerdictUnknown, ""},
		"speaks HTTP":        {raw("HTTP/1.1 400 Bad Request\r\n\r\n"), replication.VerdictUnknown, ""},
		"closes mid message": {raw("R\x00\x00\x00\x08\x00"), replication.VerdictUnknown, replication.CauseClosed},
		"message of 2 GB":    {raw("R\x7f\xff\xff\xff"), replication.VerdictUnknown, replication.CauseProtocol},
		"negative length":    {raw("R\xff\xff\xff\xff"), replication.VerdictUnknown, replication.CauseProtocol},
		"unknown message":    {raw("\x01\x00\x00\x00\x04"), replication.VerdictUnknown, replication.CauseProtocol},
		"silent": {func(c net.Conn) {
			buf := make([]byte, 4096)
			for {
				if _, err := c.Read(buf); err != nil {
					return
				}
			}
		}, replication.VerdictHung, replication.CauseTimeout},
		"LSN with a tail":     {login(rows("f", id, "1", "0/16B3748zz", "x")), replication.VerdictUnknown, replication.CauseProtocol},
		"LSN too big":         {login(rows("f", id, "1", "1/1FFFFFFFF", "x")), replication.VerdictUnknown, replication.CauseProtocol},
		"LSN 0/0":             {login(rows("f", id, "1", "0/0", "x")), replication.VerdictUnknown, replication.CauseProtocol},
		"timeline 0":          {login(rows("f", id, "0", "0/1", "x")), replication.VerdictUnknown, replication.CauseProtocol},
		"timeline negative":   {login(rows("f", id, "-1", "0/1", "x")), replication.VerdictUnknown, replication.CauseProtocol},
		"system id in words":  {login(rows("f", "seven", "1", "0/1", "x")), replication.VerdictUnknown, replication.CauseProtocol},
		"one column":          {login(rows("f", id)), replication.VerdictUnknown, replication.CauseProtocol},
		"role in words":       {login(rows("maybe", id, "1", "0/1", "x")), replication.VerdictUnknown, replication.CauseProtocol},
		"no row":              {login(func(_ string, b *pgproto3.Backend) { b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'}) }), replication.VerdictUnknown, replication.CauseProtocol},
		"starts a copy":       {login(func(_ string, b *pgproto3.Backend) { b.Send(&pgproto3.CopyInResponse{}) }), replication.VerdictUnknown, replication.CauseProtocol},
		"never ends a result": {login(func(_ string, b *pgproto3.Backend) { b.Send(&pgproto3.DataRow{}) }), replication.VerdictHung, replication.CauseTimeout},
		"error without a code": {login(func(_ string, b *pgproto3.Backend) {
			b.Send(&pgproto3.ErrorResponse{Message: "ok"})
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		}), replication.VerdictUnknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, hostile(t, c.serve))
			testenv.Wait(t, limit, "a sample", func() (bool, string) { return len(w.all()) > 0, "" })
			for _, s := range w.all() {
				if s.Verdict != c.want || c.cause != "" && s.Cause != c.cause {
					t.Errorf("%v %q (%s), want %v %q", s.Verdict, s.Cause, s.Detail, c.want, c.cause)
				}
			}
		})
	}
}

// TestWatcher_HonestThenGarbage_DropsHealthy changes the answer under a kept
// connection.
func TestWatcher_HonestThenGarbage_DropsHealthy(t *testing.T) {
	var mu sync.Mutex
	position := "0/16B3748"
	w := watch(t, hostile(t, login(func(q string, b *pgproto3.Backend) {
		mu.Lock()
		defer mu.Unlock()
		rows("f", "7312345678901234567", "1", position, "x")(q, b)
	})))
	w.until(t, replication.VerdictHealthy)
	mu.Lock()
	position = "0/16B3748\x00"
	mu.Unlock()
	if got := w.until(t, replication.VerdictUnknown); got.Cause != replication.CauseProtocol {
		t.Errorf("%+v", got)
	}
}

func TestWatcher_NobodyListens_IsDown_EachPeriod(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	to := replication.Target{Host: "127.0.0.1", Port: port, User: "x"}
	w := watch(t, to)
	began := time.Now()
	testenv.Wait(t, limit, "five refusals", func() (bool, string) { return len(w.all()) >= 5, "" })
	t.Logf("five refusals in %v at a period of 100 ms", time.Since(began))
	for _, s := range w.all() {
		if s.Verdict != replication.VerdictDown || s.Cause != "ECONNREFUSED" {
			t.Errorf("%+v", s)
		}
	}
	unix := watch(t, replication.Target{Host: t.TempDir(), Port: 5432, User: "x"})
	if got := unix.until(t, replication.VerdictDown); got.Cause != "ENOENT" {
		t.Errorf("unix socket: %+v", got)
	}
}

func TestNewWatcher_BadOptions_Refuses(t *testing.T) {
	good := replication.Target{Host: "127.0.0.1", Port: 5432, User: "x"}
	for _, c := range []struct {
		to replication.Target
		o  replication.WatchOptions
	}{
		{good, replication.WatchOptions{Period: 99 * time.Millisecond}},
		{good, replication.WatchOptions{Period: time.Minute}},
		{good, replication.WatchOptions{Deadline: -1}},
		{replication.Target{Host: "127.0.0.1", Port: 0, User: "x"}, replication.WatchOptions{}},
		{replication.Target{Host: "127.0.0.1", Port: 5432}, replication.WatchOptions{}},
		{replication.Target{Host: "127.0.0.1", Port: 5432, User: "x", SSLMode: "sometimes"}, replication.WatchOptions{}},
		{replication.Target{Host: "127.0.0.1", Port: 5432, User: "x", RootCert: "/absent", SSLMode: "verify-full"}, replication.WatchOptions{}},
	} {
		if _, err := replication.NewWatcher(c.to, c.o); err == nil {
			t.Errorf("%+v %+v accepted", c.to, c.o)
		}
	}
	if _, err := replication.NewCommitProbe(good, 0); err == nil {
		t.Error("commit probe without a database accepted")
	}
}

func TestTarget_Environment_DoesNotLeakIn(t *testing.T) {
	t.Setenv("PGPASSWORD", "leak")
	t.Setenv("PGHOST", "192.0.2.1")
	t.Setenv("PGTARGETSESSIONATTRS", "standby")
	got := make(chan string, 1)
	to := hostile(t, func(c net.Conn) {
		b := pgproto3.NewBackend(c, c)
		if _, err := b.ReceiveStartupMessage(); err != nil {
			return
		}
		b.Send(&pgproto3.AuthenticationCleartextPassword{})
		if b.Flush() != nil || b.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
			return
		}
		if msg, err := b.Receive(); err == nil {
			if p, ok := msg.(*pgproto3.PasswordMessage); ok {
				got <- p.Password
			}
		}
	})
	if _, err := replication.Dial(soon(t), to); err == nil || errors.Is(err, replication.ErrDropped) {
		t.Errorf("%v", err)
	}
	if p := <-got; p != "" {
		t.Errorf("password %q came from the environment", p)
	}
}
