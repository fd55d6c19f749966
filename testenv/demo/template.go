package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// initdbArgs decide what a prepared data directory looks like. They are part
// of its cache key through templateFormat: raise that when they change.
var initdbArgs = []string{
	"--username=postgres", "--encoding=UTF8", "--locale=C", "--data-checksums",
	"--auth-local=trust", "--auth-host=trust",
}

const templateFormat = "1"

// makeData gives a new data directory at dir. initdb takes seconds, so it runs
// once per PostgreSQL version and owner; afterwards its result is copied. All
// copies share one system identifier; fresh asks for a directory of its own.
func makeData(ctx context.Context, b Binaries, o Owner, dir string, fresh bool) error {
	if fresh {
		return initdb(ctx, b, o, dir, "--no-sync")
	}
	template, err := prepared(ctx, b, o)
	if err != nil {
		return err
	}
	return run(o.Command(ctx, "cp", "-a", "--reflink=auto", template, dir))
}

// prepared gives the cached data directory, making it when needed. Whoever
// makes it holds a lock, and it is renamed into place when complete, so a
// half-made one is never seen.
func prepared(ctx context.Context, b Binaries, o Owner) (string, error) {
	root, err := o.keepRoot()
	if err != nil {
		return "", err
	}
	template := filepath.Join(root, "data-"+b.Version+"-"+templateFormat)
	if exists(template) {
		return template, nil
	}
	lock, err := flock(ctx, o, filepath.Join(root, "data.lock"), nil)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if exists(template) {
		return template, nil
	}
	half := template + ".half"
	if err := os.RemoveAll(half); err != nil {
		return "", fmt.Errorf("remove half-made data directory: %w", err)
	}
	if err := initdb(ctx, b, o, half); err != nil {
		return "", err
	}
	if err := os.Rename(half, template); err != nil {
		return "", fmt.Errorf("put prepared data directory in place: %w", err)
	}
	return template, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func initdb(ctx context.Context, b Binaries, o Owner, dir string, more ...string) error {
	args := append([]string{"--pgdata=" + dir}, initdbArgs...)
	return run(o.Command(ctx, b.Path("initdb"), append(args, more...)...))
}

// run runs a child for at most two minutes and puts the end of what it said
// into the error. An interrupt ends also what the child started: pg_basebackup
// receives WAL in a process of its own, which would go on writing into a folder
// that is being removed, and hold its output open.
func run(cmd *exec.Cmd) error {
	var said tail
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr.Setpgid = true
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	timer := time.AfterFunc(2*time.Minute, func() {
		if cmd.Process != nil {
			_ = killGroup(cmd.Process.Pid)
		}
	})
	defer timer.Stop()
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("run %s: %w", cmd.Path, err)
		}
		return fmt.Errorf("run %s: %w: %s", filepath.Base(cmd.Path), err, said.String())
	}
	return nil
}

func killGroup(leader int) error {
	if err := syscall.Kill(-leader, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return os.ErrProcessDone
}

// tail keeps the last 4 KiB written to it.
type tail struct{ data []byte }

// Write implements io.Writer and never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if over := len(t.data) - 4096; over > 0 {
		t.data = t.data[over:]
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.data)) }
