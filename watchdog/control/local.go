package control

import (
	"context"
	"net"
	"os"
	"time"

	"go.uber.org/zap"
)

// LocalOptions configures the local socket.
type LocalOptions struct {
	Path  string // of the socket
	Group string // operators' group, name or number; empty: only root and the service's own user
	Log   *zap.Logger
}

// LocalServer answers the operators' commands on a unix socket.
type LocalServer struct {
	path     string
	group    int
	router   *Router
	listener *net.UnixListener
	lock     *os.File
	file     os.FileInfo // the socket as we put it in place
	log      *zap.Logger
}

// ListenLocal makes the socket; Run answers on it. A path that exists and is not
// a socket is an error and stays as it is; a socket on which another service
// answers gives ErrAlreadyRunning; one that nobody answers on is replaced.
func ListenLocal(o LocalOptions, r *Router) (*LocalServer, error) {
	gid, err := operatorsGroup(o.Group)
	if err != nil {
		return nil, &SocketError{Path: o.Path, Reason: "find group", Err: err, Hint: "groupadd --system " + o.Group}
	}
	l, lock, err := listenUnix(o.Path, gid)
	if err != nil {
		return nil, err
	}
	s := &LocalServer{path: o.Path, group: gid, router: r, listener: l, lock: lock, log: o.Log}
	if s.file, err = os.Lstat(o.Path); err != nil {
		s.Close()
		return nil, &SocketError{Path: o.Path, Reason: "read path", Err: err}
	}
	return s, nil
}

// Run answers until ctx ends, then removes the socket.
func (s *LocalServer) Run(ctx context.Context) error {
	defer s.Close()
	own := uint32(os.Geteuid())
	s.log.Info("control socket ready", zap.String("path", s.path))
	return serve(ctx, s.listener, s.router, func(ctx context.Context, c net.Conn) context.Context {
		return withPeer(ctx, newLocalPeer(c, own, s.group))
	})
}

// Close gives up a server that was never run. It may be called again.
func (s *LocalServer) Close() {
	if s.lock == nil {
		return
	}
	// Somebody may have put something else there in the meantime.
	if now, err := os.Lstat(s.path); err == nil && s.file != nil && os.SameFile(now, s.file) {
		_ = os.Remove(s.path)
	}
	_ = s.listener.Close()
	_ = s.lock.Close()
	s.lock = nil
}

// NewLocalClient calls the service behind the socket at path.
func NewLocalClient(path string) *Client {
	return newClient("", func(ctx context.Context) (net.Conn, error) {
		d := net.Dialer{Timeout: localDial}
		return d.DialContext(ctx, "unix", path)
	})
}

// localDial bounds connecting to the local socket: it only waits when the
// service does not accept any more.
const localDial = 2 * time.Second
