package pgdata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Holders gives the processes that hold the data directory: those whose working
// directory it is, since every server process changes into it (src/backend/
// utils/init/miscinit.c, ChangeToDataDir). The postmaster that postmaster.pid
// names is listed too when it is a zombie; a zombie's working directory cannot
// be read any more.
//
// An absent postmaster proves nothing: after kill -9 of one, its backends went
// on committing for 79 s. Only a list without a living process does, and only
// without an error: with ErrIncomplete some process could not be read. What runs
// in another PID namespace (a container on the same volume) is not seen at all.
func Holders(dir string) ([]Process, error) { return holders("/proc", dir) }

// Living leaves the zombies out.
func Living(ps []Process) []Process {
	return slices.DeleteFunc(slices.Clone(ps), func(p Process) bool { return p.Zombie })
}

// Servers gives the living server processes: those that can write.
func Servers(ps []Process) []Process {
	return slices.DeleteFunc(slices.Clone(ps), func(p Process) bool { return p.Zombie || !p.Server })
}

// scan is one walk through /proc in search of one directory.
type scan struct {
	proc    string
	dir     os.FileInfo
	owner   int
	pidFile int // process that postmaster.pid names; 0: none
	found   []Process
	unread  []error
}

func holders(proc, dir string) ([]Process, error) {
	s := scan{proc: proc}
	var err error
	if s.dir, err = os.Stat(dir); err != nil {
		return nil, fmt.Errorf("find holders of data directory: %w", err)
	}
	if st, ok := s.dir.Sys().(*syscall.Stat_t); ok {
		s.owner = int(st.Uid)
	}
	if pf, err := ReadPIDFile(dir); err == nil && pf != nil {
		s.pidFile = pf.PID
	}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, fmt.Errorf("find holders of data directory: %w", err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			s.look(pid)
		}
	}
	markPostmaster(s.found, s.pidFile)
	if len(s.unread) > 0 {
		return s.found, fmt.Errorf("%w: %w", ErrIncomplete, errors.Join(s.unread...))
	}
	return s.found, nil
}

// look judges one process: holds it, holds it not, or cannot be told.
func (s *scan) look(pid int) {
	cwd, err := os.Stat(filepath.Join(s.proc, strconv.Itoa(pid), "cwd"))
	switch {
	case err == nil && !os.SameFile(cwd, s.dir):
		return
	case err == nil:
		s.take(pid, false)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(gone(err), fs.ErrNotExist):
		// Ended, ending (files are closed before the working directory is
		// left), a zombie, or a kernel thread.
		if pid == s.pidFile {
			s.take(pid, true)
		}
	default:
		s.doubt(pid, err)
	}
}

// take adds the process; with onlyZombie only if it is one.
func (s *scan) take(pid int, onlyZombie bool) {
	p, err := readProcess(s.proc, pid)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		s.unread = append(s.unread, fmt.Errorf("read process %d: %w", pid, err))
	case !onlyZombie || (p.Zombie && p.Server):
		s.found = append(s.found, p)
	}
}

// doubt judges a process whose working directory may not be read. It cannot be
// a server of this directory when it belongs to another user (the server refuses
// to run as anybody but the owner), or when its name is another program's: a
// login of the same user (sshd, the manager's sd-pam) must not block a fence for ever.
func (s *scan) doubt(pid int, cause error) {
	ids, err := uids(s.proc, pid)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil && !slices.Contains(ids, s.owner) {
		return
	}
	p, err := readProcess(s.proc, pid)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !p.Server) {
		return
	}
	s.unread = append(s.unread, fmt.Errorf("read working directory of process %d: %w", pid, cause))
}

// markPostmaster finds the parent of the others: the process that
// postmaster.pid names or, without that file, the one that has server children.
func markPostmaster(ps []Process, pidFile int) {
	at := func(pid int) int {
		return slices.IndexFunc(ps, func(p Process) bool { return p.PID == pid && p.Server })
	}
	if i := at(pidFile); i >= 0 {
		ps[i].IsPostmaster = true
		return
	}
	for _, p := range ps {
		if i := at(p.PPID); p.Server && i >= 0 {
			ps[i].IsPostmaster = true
		}
	}
}
