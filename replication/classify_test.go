package replication_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gestionale-fullstack/watchdog/replication"
)

func TestClassify(t *testing.T) {
	state := func(code string) error {
		return fmt.Errorf("ask: %w", &pgconn.PgError{Code: code, Message: "the database system is shutting down"})
	}
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	late := fmt.Errorf("dial: %w", context.DeadlineExceeded)
	for _, c := range []struct {
		name  string
		err   error
		phase replication.Phase
		want  replication.Verdict
		cause string
	}{
		{"nothing", nil, replication.PhaseQuery, replication.VerdictHealthy, ""},
		{"cannot connect now, whatever the words say", state("57P03"), replication.PhaseWalsenderLogin, replication.VerdictStarting, "57P03"},
		{"admin shutdown", state("57P01"), replication.PhaseQuery, replication.VerdictShuttingDown, "57P01"},
		{"crash of another backend", state("57P02"), replication.PhaseQuery, replication.VerdictStarting, "57P02"},
		{"no slot for a session", state("53300"), replication.PhaseLogin, replication.VerdictSaturated, "53300"},
		{"no slot for a walsender", state("53300"), replication.PhaseWalsenderLogin, replication.VerdictUnknown, "53300"},
		{"password", state("28P01"), replication.PhaseLogin, replication.VerdictAuthRefused, "28P01"},
		{"pg_hba", state("28000"), replication.PhaseWalsenderLogin, replication.VerdictAuthRefused, "28000"},
		{"right", state("42501"), replication.PhaseQuery, replication.VerdictAuthRefused, "42501"},
		{"read only", state("25006"), replication.PhaseQuery, replication.VerdictReadOnly, "25006"},
		{"unknown code", state("XX000"), replication.PhaseQuery, replication.VerdictUnknown, "XX000"},
		{"no code", state(""), replication.PhaseQuery, replication.VerdictUnknown, ""},
		{"refused", dial(syscall.ECONNREFUSED), replication.PhaseConnect, replication.VerdictDown, "ECONNREFUSED"},
		{"no socket file", dial(syscall.ENOENT), replication.PhaseConnect, replication.VerdictDown, "ENOENT"},
		{"no such file later", syscall.ENOENT, replication.PhaseQuery, replication.VerdictUnknown, replication.CauseProtocol},
		{"no route", dial(syscall.EHOSTUNREACH), replication.PhaseConnect, replication.VerdictUnreachable, "EHOSTUNREACH"},
		{"no network", dial(syscall.ENETUNREACH), replication.PhaseConnect, replication.VerdictUnreachable, "ENETUNREACH"},
		{"keepalive failed", dial(syscall.ETIMEDOUT), replication.PhaseQuery, replication.VerdictUnreachable, "ETIMEDOUT"},
		{"SYN lost", late, replication.PhaseConnect, replication.VerdictUnreachable, replication.CauseTimeout},
		{"silent after TCP", late, replication.PhaseWalsenderLogin, replication.VerdictHung, replication.CauseTimeout},
		{"silent to a query", late, replication.PhaseQuery, replication.VerdictHung, replication.CauseTimeout},
		{"net timeout", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, replication.PhaseQuery, replication.VerdictHung, replication.CauseTimeout},
		{"one address refused, another silent", errors.Join(dial(syscall.ECONNREFUSED), late), replication.PhaseConnect, replication.VerdictUnreachable, replication.CauseTimeout},
		{"one address unroutable, another refused", errors.Join(dial(syscall.ENETUNREACH), dial(syscall.ECONNREFUSED)), replication.PhaseConnect, replication.VerdictUnreachable, "ENETUNREACH"},
		{"answered after a refused TLS", errors.Join(errors.New("server refused TLS connection"), state("28000")), replication.PhaseLogin, replication.VerdictAuthRefused, "28000"},
		{"name", &net.DNSError{Err: "no such host", IsNotFound: true}, replication.PhaseConnect, replication.VerdictUnknown, replication.CauseDNS},
		{"closed", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), replication.PhaseQuery, replication.VerdictUnknown, replication.CauseClosed},
		{"reset", syscall.ECONNRESET, replication.PhaseLogin, replication.VerdictUnknown, "ECONNRESET"},
		{"we gave up", context.Canceled, replication.PhaseQuery, replication.VerdictUnknown, replication.CauseCanceled},
		{"garbage", errors.New("unknown message type"), replication.PhaseQuery, replication.VerdictUnknown, replication.CauseProtocol},
		{"our own parser", fmt.Errorf("x: %w", replication.ErrProtocol), replication.PhaseQuery, replication.VerdictUnknown, replication.CauseProtocol},
	} {
		v, cause := replication.Classify(c.err, c.phase)
		if v != c.want || cause != c.cause {
			t.Errorf("%s: %v %q, want %v %q", c.name, v, cause, c.want, c.cause)
		}
	}
}

func TestVerdict_ZeroIsUnknown_NamesRoundTrip(t *testing.T) {
	var zero replication.Verdict
	if zero.String() != "unknown" {
		t.Errorf("zero verdict is %q", zero)
	}
	for v := replication.VerdictUnknown; v <= replication.VerdictUnreachable; v++ {
		b, err := v.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back replication.Verdict
		if err := back.UnmarshalText(b); err != nil || back != v {
			t.Errorf("%v came back as %v, %v", v, back, err)
		}
	}
	if err := new(replication.Verdict).UnmarshalText([]byte("fine")); err == nil {
		t.Error("a verdict out of the list was accepted")
	}
}
