package pgctl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// HelperOptions say whom the helper serves and with what. All are needed.
type HelperOptions struct {
	UID   int      // the only user served: PostgreSQL's own
	Units []string // the only units touched, and containers as PROJECT/SERVICE
	Do    Privileged
	Log   *zap.Logger
	// Deadline bounds one request, waiting for a unit to start included.
	Deadline time.Duration
}

// HelperServer is the root side of Privileged. It knows fixed verbs and
// configured units, one request per connection, and asks the kernel who calls.
type HelperServer struct{ o HelperOptions }

// helperCalls bounds requests served at once; more wait in the socket's queue.
const helperCalls = 8

// readDeadline bounds how long a caller may take to say what it wants.
const readDeadline = 5 * time.Second

// NewHelperServer names what is missing or wrong in the options.
func NewHelperServer(o HelperOptions) (*HelperServer, error) {
	switch {
	case o.Do == nil || o.Log == nil:
		return nil, errors.New("make helper: Do and Log are needed")
	case o.Deadline <= 0:
		return nil, fmt.Errorf("make helper: deadline %v, want more than 0", o.Deadline)
	case o.UID < 0:
		return nil, fmt.Errorf("make helper: user id %d", o.UID)
	case len(o.Units) == 0:
		return nil, errors.New("make helper: no unit and no container is configured")
	}
	for _, u := range o.Units {
		if !unitName.MatchString(u) && !containerName.MatchString(u) {
			return nil, fmt.Errorf("make helper: unit name %q, want NAME.service, or PROJECT/SERVICE for a container", u)
		}
	}
	return &HelperServer{o: o}, nil
}

// ActivatedListener gives the one unix socket that systemd handed over.
func ActivatedListener() (net.Listener, error) {
	ls, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take over socket: %w", err)
	}
	if len(ls) != 1 || ls[0] == nil {
		return nil, fmt.Errorf("take over socket: %d sockets were handed over, want 1: start it through pg-watchdog-helper.socket", len(ls))
	}
	return ls[0], nil
}

// Run serves the listener, which it closes, until the context ends and all
// requests under way are answered.
func (s *HelperServer) Run(ctx context.Context, l net.Listener) error {
	var calls sync.WaitGroup
	defer calls.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	slots := make(chan struct{}, helperCalls)
	for {
		slots <- struct{}{}
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			_ = l.Close()
			return fmt.Errorf("accept on helper socket: %w", err)
		}
		calls.Go(func() {
			defer func() { <-slots }()
			s.serve(ctx, conn)
		})
	}
}

// serve answers one connection and logs it, refused or not.
func (s *HelperServer) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close() //nolint:errcheck // the caller has its answer or has gone
	_ = conn.SetDeadline(time.Now().Add(s.o.Deadline + readDeadline))
	caller, err := callerOf(conn)
	if err != nil {
		s.o.Log.Error("helper cannot tell who calls", zap.NamedError("err", err))
		return
	}
	log := s.o.Log.With(zap.Uint32("uid", caller.Uid), zap.Int32("pid", caller.Pid))
	r, out, err := s.answer(ctx, conn, caller)
	a := helperAnswer{Version: 1, Output: out}
	if err != nil {
		a.Error, a.Refused = err.Error(), errors.Is(err, ErrRefused)
		log.Warn("helper call not done", zap.String("verb", string(r.Verb)), zap.String("unit", r.Unit), zap.NamedError("err", err))
	} else {
		log.Info("helper call done", zap.String("verb", string(r.Verb)), zap.String("unit", r.Unit))
	}
	if err := writeLine(conn, a); err != nil {
		log.Warn("helper answer not taken", zap.NamedError("err", err))
	}
}

// answer checks the caller before a byte of the request is read.
func (s *HelperServer) answer(ctx context.Context, conn net.Conn, caller *unix.Ucred) (helperRequest, string, error) {
	var r helperRequest
	if int(caller.Uid) != s.o.UID {
		return r, "", fmt.Errorf("%w: user %d is not served", ErrRefused, caller.Uid)
	}
	_ = conn.SetReadDeadline(time.Now().Add(readDeadline))
	if err := readLine(conn, lineLimit, &r); err != nil {
		return helperRequest{}, "", fmt.Errorf("%w: request not understood: %w", ErrRefused, err)
	}
	if err := s.allow(r); err != nil {
		return r, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Deadline)
	defer cancel()
	out, err := s.o.Do.Do(ctx, r.Verb, r.Unit)
	return r, out, err
}

func (s *HelperServer) allow(r helperRequest) error {
	switch {
	case r.Version != 1:
		return fmt.Errorf("%w: request of version %d, want 1", ErrRefused, r.Version)
	case !slices.Contains(unitVerbs, r.Verb) && !slices.Contains(containerVerbs, r.Verb):
		return fmt.Errorf("%w: verb %q", ErrRefused, r.Verb)
	case !slices.Contains(s.o.Units, r.Unit):
		return fmt.Errorf("%w: unit %q is not configured", ErrRefused, r.Unit)
	}
	return nil
}

// callerOf asks the kernel for the process on the other end (unix(7), SO_PEERCRED).
func callerOf(conn net.Conn) (*unix.Ucred, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("read caller of a %s connection: only unix sockets have one", conn.LocalAddr().Network())
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("read caller: %w", err)
	}
	var cred *unix.Ucred
	var inner error
	if err := raw.Control(func(fd uintptr) { cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return nil, fmt.Errorf("read caller: %w", err)
	}
	if inner != nil {
		return nil, fmt.Errorf("read caller: %w", inner)
	}
	return cred, nil
}
