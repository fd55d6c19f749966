package replication

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// Phase is how far a probe had come when its error struck. The same error
// means different things in different phases: a timeout before TCP connects
// says that nobody was heard, after it that somebody listens and is silent.
type Phase uint8

// The phases.
const (
	PhaseUnknown        Phase = iota
	PhaseConnect              // TCP (or the unix socket) not yet connected
	PhaseLogin                // connected; startup and authentication of an ordinary session
	PhaseWalsenderLogin       // the same for a walsender session
	PhaseQuery                // logged in; a command was sent, or the connection was idle
)

// Causes that are neither a SQLSTATE nor an errno.
const (
	CauseTimeout  = "timeout"  // our own deadline passed
	CauseClosed   = "closed"   // the connection ended without a word
	CauseProtocol = "protocol" // the answer is not PostgreSQL's
	CauseDNS      = "dns"      // the name did not resolve
	CauseTLS      = "tls"      // the certificate or the handshake was refused
	CauseCanceled = "canceled" // we gave up ourselves
	CausePooler   = "pooler"   // a connection pooler answered in the server's place
)

// ErrProtocol is returned when a server answered something that PostgreSQL
// never answers: garbage, wrong types, an LSN that does not parse.
var ErrProtocol = errors.New("answer is not PostgreSQL's")

// Classify turns an error of one probe into a verdict and the code behind it,
// by SQLSTATE and errno and never by message text: texts are translated
// (lc_messages). It is pure; what one code leaves open (57P03 is sent while
// starting and while stopping) the Watcher decides by what it saw before.
func Classify(err error, phase Phase) (v Verdict, cause string) {
	if err == nil {
		return VerdictHealthy, ""
	}
	if errors.Is(err, ErrPooler) {
		return VerdictUnknown, CausePooler
	}
	if errors.Is(err, ErrProtocol) {
		return VerdictUnknown, CauseProtocol
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return classifyState(pg.Code, phase), pg.Code
	}
	if errors.Is(err, context.Canceled) {
		return VerdictUnknown, CauseCanceled
	}
	return classifyTransport(err, phase)
}

// classifyState maps SQLSTATE codes (PostgreSQL manual, appendix A).
func classifyState(code string, phase Phase) Verdict {
	switch code {
	case "57P03", "57P02": // cannot_connect_now; crash_shutdown: restarts by itself
		return VerdictStarting
	case "57P01": // admin_shutdown: a stop, a dead postmaster or pg_terminate_backend
		return VerdictShuttingDown
	case "53300": // too_many_connections
		if phase == PhaseWalsenderLogin {
			// max_wal_senders is full: it says nothing about ordinary sessions.
			return VerdictUnknown
		}
		return VerdictSaturated
	case "28P01", "28000", "42501", "3D000": // password; pg_hba or no role; no right; no database
		return VerdictAuthRefused
	case "25006": // read_only_sql_transaction
		return VerdictReadOnly
	}
	return VerdictUnknown
}

// classifyTransport judges errors below PostgreSQL. A name may stand for
// several addresses (::1 and 127.0.0.1), each with its own error: silence of
// one weighs more than the refusal of another, because the server may be the
// silent one.
func classifyTransport(err error, phase Phase) (v Verdict, cause string) {
	var dns *net.DNSError
	switch {
	case timedOut(err):
		if phase == PhaseConnect || phase == PhaseUnknown {
			return VerdictUnreachable, CauseTimeout
		}
		return VerdictHung, CauseTimeout
	case errors.As(err, &dns):
		return VerdictUnknown, CauseDNS
	}
	for _, e := range unreachableErrnos {
		if errors.Is(err, e.errno) {
			return VerdictUnreachable, e.name
		}
	}
	return classifyEnded(err, phase)
}

// unreachableErrnos say that no packet of the server's host was seen.
var unreachableErrnos = []struct {
	errno syscall.Errno
	name  string
}{
	{syscall.EHOSTUNREACH, "EHOSTUNREACH"},
	{syscall.ENETUNREACH, "ENETUNREACH"},
	{syscall.ETIMEDOUT, "ETIMEDOUT"},
	{syscall.EHOSTDOWN, "EHOSTDOWN"},
	{syscall.ENETDOWN, "ENETDOWN"},
}

func classifyEnded(err error, phase Phase) (v Verdict, cause string) {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return VerdictDown, "ECONNREFUSED"
	case phase == PhaseConnect && errors.Is(err, syscall.ENOENT):
		return VerdictDown, "ENOENT" // no unix socket file: nobody listens
	case errors.Is(err, syscall.ECONNRESET):
		return VerdictUnknown, "ECONNRESET"
	case errors.Is(err, syscall.EPIPE):
		return VerdictUnknown, "EPIPE"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, pgconn.ErrConnClosed):
		return VerdictUnknown, CauseClosed
	case isTLS(err):
		return VerdictUnknown, CauseTLS
	}
	return VerdictUnknown, CauseProtocol
}

// timedOut looks at every branch of a joined error. pgconn reports an expired
// context now as a deadline error and now as a net timeout.
func timedOut(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	if n, ok := err.(net.Error); ok && n.Timeout() && !isErrno(err) { //nolint:errorlint // walks the tree itself
		return true
	}
	switch u := err.(type) { //nolint:errorlint // walks the tree itself
	case interface{ Unwrap() error }:
		return u.Unwrap() != nil && timedOut(u.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			if timedOut(e) {
				return true
			}
		}
	}
	return false
}

// isErrno keeps the kernel's ETIMEDOUT, which also calls itself a timeout,
// apart from our own deadline.
func isErrno(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno)
}

func isTLS(err error) bool {
	var (
		record tls.RecordHeaderError
		alert  tls.AlertError
		verify *tls.CertificateVerificationError
		name   x509.HostnameError
		ca     x509.UnknownAuthorityError
	)
	return errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &verify) || errors.As(err, &name) || errors.As(err, &ca)
}
