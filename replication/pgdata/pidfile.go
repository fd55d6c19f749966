package pgdata

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// PIDFile is postmaster.pid as the server wrote it
// (src/include/utils/pidfile.h). Lines that a starting server has not written
// yet are zero.
type PIDFile struct {
	PID        int
	SingleUser bool // written by postgres --single, as pg_rewind runs it
	DataDir    string
	Started    time.Time // server's clock, seconds
	Port       int
	SocketDir  string
	Listen     string // first listen address; empty: unix socket only
	Status     string // "starting", "stopping", "ready", "standby"
}

// ReadPIDFile reads postmaster.pid; nil without an error when there is none.
func ReadPIDFile(dir string) (*PIDFile, error) {
	b, err := readHead(filepath.Join(dir, PostmasterPID), 8<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", PostmasterPID, err)
	}
	p, err := parsePIDFile(string(b))
	if err != nil {
		return nil, err
	}
	return &p, nil
}

func parsePIDFile(text string) (PIDFile, error) {
	lines := strings.Split(text, "\n")
	line := func(n int) string {
		if n < len(lines) {
			return strings.TrimSpace(lines[n])
		}
		return ""
	}
	pid, err := strconv.ParseInt(line(0), 10, 32)
	if err != nil || pid == 0 {
		return PIDFile{}, fmt.Errorf("%w: first line %.20q is no process id", ErrBadPIDFile, line(0))
	}
	p := PIDFile{PID: int(pid), DataDir: line(1), SocketDir: line(4), Listen: line(5), Status: line(7)}
	if pid < 0 { // the server's mark for a stand-alone backend
		p.PID, p.SingleUser = int(-pid), true
	}
	if at, err := strconv.ParseInt(line(2), 10, 64); err == nil {
		p.Started = time.Unix(at, 0)
	}
	if port, err := strconv.ParseUint(line(3), 10, 16); err == nil {
		p.Port = int(port)
	}
	return p, nil
}
