package pgdata

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Process is one process as /proc shows it (proc_pid_stat(5)).
type Process struct {
	PID  int `json:"pid"`
	PPID int `json:"ppid"`
	// StartTicks is the start time in clock ticks since boot: with the PID it
	// names a process for ever, so that a reused PID is told apart.
	StartTicks uint64 `json:"start_ticks"`
	State      byte   `json:"-"`     // 'R', 'S', 'D' (uninterruptible), 'T' (stopped), 'Z' (zombie), ...
	Name       string `json:"name"`  // the kernel's comm, at most 15 bytes
	Title      string `json:"title"` // command line; PostgreSQL writes what the process does into it
	// Server says that the program is PostgreSQL's server. An operator's shell
	// that stands in the data directory also holds it, and cannot write to it.
	Server       bool `json:"server"`
	IsPostmaster bool `json:"postmaster"`
	// Zombie is an ended process whose parent has not asked for its status
	// yet. It is not a process any more: it holds no file and writes nothing.
	Zombie bool `json:"zombie"`
}

// String names the process for evidence lines.
func (p Process) String() string { return fmt.Sprintf("%d (%s)", p.PID, p.Title) }

// Same reports that both are one and the same process.
func (p Process) Same(o Process) bool { return p.PID == o.PID && p.StartTicks == o.StartTicks }

// Stopped reports a process that SIGSTOP or a debugger holds.
func (p Process) Stopped() bool { return p.State == 'T' || p.State == 't' }

// serverNames are the programs that open a data directory for writing as a
// server: PostgreSQL, its name before version 16, and EDB's build.
var serverNames = []string{"postgres", "postmaster", "edb-postgres"}

func serverName(name string) bool { return slices.Contains(serverNames, name) }

// ReadProcess reads one process. ErrNotExist (package io/fs) when it has ended.
func ReadProcess(pid int) (Process, error) { return readProcess("/proc", pid) }

func readProcess(proc string, pid int) (Process, error) {
	base := filepath.Join(proc, strconv.Itoa(pid))
	b, err := readHead(filepath.Join(base, "stat"), 4<<10)
	if err != nil {
		return Process{}, gone(err)
	}
	p, err := parseStat(b)
	if err != nil {
		return Process{}, err
	}
	cmd, err := readHead(filepath.Join(base, "cmdline"), 4<<10)
	if err != nil {
		return Process{}, gone(err)
	}
	p.Title = titleOf(cmd, p.Name)
	exe, err := os.Readlink(filepath.Join(base, "exe"))
	if err == nil { // a package upgrade leaves "/usr/.../postgres (deleted)"
		p.Server = serverName(filepath.Base(strings.TrimSuffix(exe, " (deleted)")))
	}
	p.Server = p.Server || serverName(p.Name)
	return p, nil
}

// gone turns the ESRCH that /proc gives for a process that ends while it is
// read into "does not exist".
func gone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return fs.ErrNotExist
	}
	return err
}

// parseStat reads "PID (comm) state ppid ... starttime ...". The comm may hold
// spaces and parentheses, so the last one counts.
func parseStat(b []byte) (Process, error) {
	open, shut := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || shut < open {
		return Process{}, fmt.Errorf("parse process status %.40q: no command name", b)
	}
	f := strings.Fields(string(b[shut+1:]))
	if len(f) < 20 || len(f[0]) != 1 {
		return Process{}, fmt.Errorf("parse process status %.40q: %d fields, want 20", b, len(f))
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(string(b[:open])))
	ppid, err2 := strconv.Atoi(f[1])
	start, err3 := strconv.ParseUint(f[19], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Process{}, fmt.Errorf("parse process status %.40q: %w", b, err)
	}
	p := Process{PID: pid, PPID: ppid, StartTicks: start, State: f[0][0], Name: string(b[open+1 : shut])}
	p.Zombie = p.State == 'Z' || p.State == 'X'
	return p, nil
}

// titleOf joins the arguments; a process without any is shown by its name.
func titleOf(cmdline []byte, name string) string {
	t := strings.TrimSpace(string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
	if t == "" {
		return name
	}
	return t
}

// uids gives the real, effective, saved and file-system user of a process.
func uids(proc string, pid int) ([]int, error) {
	b, err := readHead(filepath.Join(proc, strconv.Itoa(pid), "status"), 8<<10)
	if err != nil {
		return nil, gone(err)
	}
	for line := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(line, "Uid:")
		if !ok {
			continue
		}
		var ids []int
		for _, f := range strings.Fields(rest) {
			id, err := strconv.Atoi(f)
			if err != nil {
				return nil, fmt.Errorf("parse user of process %d: %w", pid, err)
			}
			ids = append(ids, id)
		}
		return ids, nil
	}
	return nil, fmt.Errorf("parse user of process %d: no Uid line", pid)
}
