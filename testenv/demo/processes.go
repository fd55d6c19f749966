package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processesOf lists the live processes whose working folder is the data
// directory: the postmaster, its children, and what they started; also a
// postmaster that has just been started and has not gone there yet. A process
// that has ended and waits to be reaped (a zombie) is not listed: it can
// neither write nor be killed.
func processesOf(dataDir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if (worksIn(pid, dataDir) && !visits(pid) || bound(pid) == dataDir) && !ended(pid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// bound is the data directory that a postgres was started on, as we and pg_ctl
// name it; empty for any other program. For some milliseconds after its start
// nothing else tells whose it is, and who looks for it just then, because of an
// interrupt, would leave it behind.
func bound(pid int) string {
	program, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	if err != nil || strings.TrimSuffix(filepath.Base(program), " (deleted)") != "postgres" {
		return ""
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return ""
	}
	args := strings.Split(string(line), "\x00")
	if at := slices.Index(args, "-D"); at >= 0 && at+1 < len(args) {
		return args[at+1]
	}
	return ""
}

// worksIn compares a process's working folder; the kernel adds " (deleted)"
// when the folder is gone.
func worksIn(pid int, dir string) bool {
	cwd, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	return err == nil && strings.TrimSuffix(cwd, " (deleted)") == dir
}

// visits is true for somebody's shell, or pager, that only looks around in the
// folder: it hangs on a terminal and is not PostgreSQL. Servers and what they
// start have sessions of their own.
func visits(pid int) bool {
	const afterState = 4 // field 7 of proc(5), tty_nr, counted from the state
	fields := statFields(pid)
	if len(fields) <= afterState || fields[afterState] == "0" {
		return false
	}
	program, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return err == nil && strings.TrimSuffix(filepath.Base(program), " (deleted)") != "postgres"
}

// ended is true for a process that is gone or a zombie.
func ended(pid int) bool {
	fields := statFields(pid)
	return len(fields) == 0 || fields[0] == "Z" || fields[0] == "X"
}

// statFields gives /proc/PID/stat from the state on: the name before it may
// hold blanks and brackets.
func statFields(pid int) []string {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	_, rest, found := strings.Cut(string(data[max(0, strings.LastIndexByte(string(data), ')')):]), " ")
	if !found {
		return nil
	}
	return strings.Fields(rest)
}

// startTime tells two processes with one pid apart, in clock ticks since boot;
// empty when the process is gone.
func startTime(pid int) string {
	const afterState = 19 // field 22 of proc(5), counted from the state
	fields := statFields(pid)
	if len(fields) <= afterState {
		return ""
	}
	return fields[afterState]
}

// killAll ends every process of a data directory as a power cut would: all are
// stopped first, so that none has time to react to the end of another (a
// walsender that sees its postmaster gone would still tell the standby), and
// only then killed.
func killAll(ctx context.Context, dataDir string) error {
	err := poll(ctx, 5*time.Millisecond, func() (bool, error) {
		pids, err := processesOf(dataDir)
		if err != nil || len(pids) == 0 {
			return len(pids) == 0, err
		}
		for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
			for _, pid := range pids {
				_ = syscall.Kill(pid, sig) // gone already is fine; the next round looks again
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("kill processes of %s: %w", dataDir, err)
	}
	return nil
}
