package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is one PostgreSQL server of a pair. What it says comes from the disk
// and from /proc, never from memory: whoever started or killed the server,
// this process or another, the answer is the same.
type Server struct {
	Name      string `json:"name"`
	Host      string `json:"pg_host"`
	Port      int    `json:"pg_port"`
	SocketDir string `json:"pg_socket_dir"`
	DataDir   string `json:"data_dir"`
	LogFile   string `json:"log_file"`

	binaries Binaries
	owner    Owner
	detached bool
	enter    func() error // nil: nothing to enter
	child    child
}

// StopMode is how a server is asked to end.
type StopMode syscall.Signal

// The stop modes of pg_ctl, which are signals to the postmaster
// (https://www.postgresql.org/docs/current/server-shutdown.html).
const (
	StopSmart     = StopMode(syscall.SIGTERM)
	StopFast      = StopMode(syscall.SIGINT)
	StopImmediate = StopMode(syscall.SIGQUIT)
)

// ErrRunning is returned by Start when a process already holds the data directory.
var ErrRunning = errors.New("server already runs")

// Start starts the server and waits until it accepts connections, at most 30
// seconds. Further arguments go to postgres, for instance "-c", "work_mem=1MB".
func (s *Server) Start(ctx context.Context, args ...string) error {
	if pids, err := processesOf(s.DataDir); err != nil || len(pids) > 0 {
		return errors.Join(err, fmt.Errorf("start %s: %w: pids %v", s.Name, ErrRunning, pids))
	}
	if err := s.spawn(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := poll(ctx, 10*time.Millisecond, func() (bool, error) {
		if s.child.over() {
			return false, errors.New("postmaster ended")
		}
		return s.State() == "ready", nil
	})
	if err != nil {
		return fmt.Errorf("start %s: %w\n%s", s.Name, err, s.LogTail(2048))
	}
	return nil
}

// Stop asks the postmaster to end and waits until no process of the data
// directory is left, at most 60 seconds. It does nothing when none runs.
func (s *Server) Stop(ctx context.Context, mode StopMode) error {
	pid := s.Pid()
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, syscall.Signal(mode)); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s: %w", s.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := poll(ctx, 10*time.Millisecond, func() (bool, error) {
		pids, err := s.Processes()
		return len(pids) == 0, err
	})
	if err != nil {
		return fmt.Errorf("stop %s: wait for its processes: %w", s.Name, err)
	}
	s.child.join()
	return nil
}

// Kill ends every process of the server at once, as a power cut would. What
// had reached the kernel's page cache survives, unlike in a real one.
func (s *Server) Kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	postmaster := s.Pid()
	if err := killAll(ctx, s.DataDir); err != nil {
		return err
	}
	s.child.join()
	return awaitReaped(ctx, postmaster)
}

// awaitReaped waits until a killed process is no zombie any more: the next
// postmaster would take it for a living owner of postmaster.pid, which no
// power cut leaves behind.
func awaitReaped(ctx context.Context, pid int) error {
	if pid == 0 {
		return nil
	}
	err := poll(ctx, 5*time.Millisecond, func() (bool, error) { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH), nil })
	if err != nil {
		return fmt.Errorf("wait until process %d is reaped: %w", pid, err)
	}
	return nil
}

// Processes lists the live processes of the data directory, postmaster and
// backends; zombies do not count.
func (s *Server) Processes() ([]int, error) { return processesOf(s.DataDir) }

// Running is true while any process of the data directory lives: backends
// outlive a killed postmaster and go on committing.
func (s *Server) Running() bool {
	pids, err := s.Processes()
	return err != nil || len(pids) > 0
}

// Pid is the postmaster's process id, 0 when none runs.
func (s *Server) Pid() int {
	lines := s.pidFile()
	if len(lines) == 0 {
		return 0
	}
	pid, err := strconv.Atoi(lines[0])
	if err != nil || pid <= 0 || ended(pid) || !worksIn(pid, s.DataDir) {
		return 0
	}
	return pid
}

// State is what the postmaster last wrote of itself: starting, ready, standby
// (up, but accepting no connections) or stopping; empty when none runs.
func (s *Server) State() string {
	const statusLine = 7 // LOCK_FILE_LINE_PM_STATUS of src/include/utils/pidfile.h, counted from 0
	lines := s.pidFile()
	if len(lines) <= statusLine || s.Pid() == 0 {
		return ""
	}
	return strings.TrimSpace(lines[statusLine])
}

func (s *Server) pidFile() []string {
	data, err := os.ReadFile(filepath.Join(s.DataDir, "postmaster.pid"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// DSN is a connection string for the superuser postgres over the node's
// address, as the services of two machines would connect.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s sslmode=disable connect_timeout=5", s.Host, s.Port, database)
}

// Connect opens a session of the superuser postgres.
func (s *Server) Connect(ctx context.Context, database string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, s.DSN(database))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.Name, err)
	}
	return conn, nil
}

// Exec runs one statement in a session of its own.
func (s *Server) Exec(ctx context.Context, sql string, args ...any) error {
	conn, err := s.Connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("run %q on %s: %w", sql, s.Name, err)
	}
	return nil
}

// Ask runs a query that gives one value, read as text, in a session of its own.
func (s *Server) Ask(ctx context.Context, sql string, args ...any) (string, error) {
	conn, err := s.Connect(ctx, "postgres")
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return "", fmt.Errorf("ask %s %q: %w", s.Name, sql, err)
	}
	value, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		if err != nil || len(values) == 0 || values[0] == nil {
			return "", err
		}
		return fmt.Sprint(values[0]), nil
	})
	if err != nil {
		return "", fmt.Errorf("ask %s %q: %w", s.Name, sql, err)
	}
	return value, nil
}

// InRecovery asks the server itself.
func (s *Server) InRecovery(ctx context.Context) (bool, error) {
	answer, err := s.Ask(ctx, "SELECT pg_is_in_recovery()")
	return answer == "true", err
}

// LogTail is the end of the server's log, at most n bytes.
func (s *Server) LogTail(n int) string {
	data, err := os.ReadFile(s.LogFile)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-n):])
}
