package replication

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// mode is what kind of session a link is.
type mode uint8

const (
	modeOrdinary  mode = iota // takes a max_connections slot
	modeWalsender             // replication=database: replication commands and SQL, simple protocol
	modePhysical              // replication=yes: replication commands only
)

func (m mode) loginPhase() Phase {
	if m == modeOrdinary {
		return PhaseLogin
	}
	return PhaseWalsenderLogin
}

// maxMessage bounds one message of a server: the largest honest ones are a
// timeline history and the row of settings.
const maxMessage = 4 << 20

// link is one connection with its socket at hand. pgconn, when a read breaks,
// closes in the background for up to 15 s and dials once more to cancel; here
// no second dial is let through and close ends the socket at once, so that a
// hung server never holds more than what the caller knows of.
type link struct {
	pg   *pgconn.PgConn
	mode mode
	wire *wire
	// proven is true once the session is known to be the server's own.
	proven bool
}

// wire records how far a dial came, for Classify and for timing.
type wire struct {
	tcpLimit time.Duration // bound of the connect phase alone; 0: the context's
	up       chan struct{} // closed when TCP (or the unix socket) has connected
	once     sync.Once
	sealed   atomic.Bool // refuse further dials
	aside    atomic.Bool // a cancel request dials: not the link's socket
	mu       sync.Mutex
	raw      net.Conn
	tcpTook  time.Duration
}

func newWire(tcpLimit time.Duration) *wire {
	return &wire{tcpLimit: tcpLimit, up: make(chan struct{})}
}

var errSealed = errors.New("dial: connection is already made")

// keepAlive lets the kernel find out within about 5 s that the host behind a
// silent connection is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive, Timeout: w.tcpLimit}
	if w.aside.Load() {
		return d.DialContext(ctx, network, addr)
	}
	if w.sealed.Load() {
		return nil, errSealed
	}
	began := time.Now()
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.raw, w.tcpTook = c, time.Since(began)
	w.mu.Unlock()
	w.once.Do(func() { close(w.up) })
	return c, nil
}

// connected reports whether TCP connected.
func (w *wire) connected() bool {
	select {
	case <-w.up:
		return true
	default:
		return false
	}
}

// cut closes the socket without a word.
func (w *wire) cut() {
	w.sealed.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.raw != nil {
		_ = w.raw.Close() // the socket is given up; nothing to learn from its close
	}
}

// connect dials and logs in. The phase says where an error struck.
func connect(ctx context.Context, t Target, m mode, w *wire) (*link, Phase, error) {
	cfg, err := t.config(m)
	if err != nil {
		return nil, PhaseUnknown, err
	}
	cfg.DialFunc = w.dial
	pg, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		if w.connected() {
			return nil, m.loginPhase(), fmt.Errorf("log in to %s: %w", t.Address(), err)
		}
		return nil, PhaseConnect, fmt.Errorf("connect to %s: %w", t.Address(), err)
	}
	w.sealed.Store(true)
	return &link{pg: pg, mode: m, wire: w}, PhaseQuery, nil
}

// close says goodbye if the connection still works, and frees the socket in
// any case. It does not wait for the server.
func (l *link) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_ = l.pg.Close(ctx) // best effort; cut frees the socket
	l.wire.cut()
	<-l.pg.CleanupDone()
}

// cancel asks the server to end the running command, on a connection of its
// own (the protocol has no other way).
func (l *link) cancel(ctx context.Context) {
	l.wire.aside.Store(true)
	defer l.wire.aside.Store(false)
	_ = l.pg.CancelRequest(ctx) // only a request: its effect is seen on the link
}

// Address gives host and port for messages.
func (t Target) Address() string {
	if strings.HasPrefix(t.Host, "/") {
		return fmt.Sprintf("%s/.s.PGSQL.%d", t.Host, t.Port)
	}
	return net.JoinHostPort(t.Host, fmt.Sprint(t.Port))
}

// config builds pgconn's configuration from the target alone: libpq's
// environment variables are overridden or emptied.
func (t Target) config(m mode) (*pgconn.Config, error) {
	if t.Host == "" || t.Port < 1 || t.Port > 65535 || t.User == "" {
		return nil, fmt.Errorf("configure connection: need host, port and user, have %q, %d and %q", t.Host, t.Port, t.User)
	}
	database := t.Database
	switch {
	case m == modePhysical:
		database = "replication" // what libpq looks up in a passfile; the server ignores it
	case database == "":
		database = "postgres"
	}
	sslmode := t.SSLMode
	if sslmode == "" {
		sslmode = "prefer"
	}
	words := []string{
		"host", t.Host, "port", fmt.Sprint(t.Port), "user", t.User, "dbname", database,
		"sslmode", sslmode, "target_session_attrs", "any", "connect_timeout", "0",
	}
	if t.PassFile != "" {
		words = append(words, "passfile", t.PassFile)
	}
	if t.RootCert != "" {
		words = append(words, "sslrootcert", t.RootCert)
	}
	cfg, err := pgconn.ParseConfig(keywords(words))
	if err != nil {
		return nil, fmt.Errorf("configure connection to %s: %w", t.Address(), err)
	}
	if t.PassFile == "" {
		cfg.Password = ""
	}
	cfg.MaxProtocolMessageBodyLen = maxMessage
	cfg.RuntimeParams = t.runtimeParams(m)
	return cfg, nil
}

func (t Target) runtimeParams(m mode) map[string]string {
	name := t.AppName
	if name == "" {
		name = "pg-watchdog"
	}
	p := map[string]string{
		"application_name": name, "client_encoding": "UTF8", "DateStyle": "ISO",
		"search_path": "pg_catalog", "extra_float_digits": "0",
	}
	switch m {
	case modeWalsender:
		p["replication"] = "database"
	case modePhysical:
		return map[string]string{"application_name": name, "replication": "yes"}
	}
	return p
}

// keywords joins pairs to libpq's keyword form, quoted.
func keywords(pairs []string) string {
	var b strings.Builder
	esc := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&b, "%s='%s' ", pairs[i], esc.Replace(pairs[i+1]))
	}
	return b.String()
}
