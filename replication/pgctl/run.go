package pgctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// tailBytes is how much of a program's last words an error carries.
const tailBytes = 4 << 10

// lateOutput is how long a program that was killed may still hold its output.
const lateOutput = 5 * time.Second

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - tailBytes; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

// failed joins a program's error with its last words.
func failed(program string, err error, said string) error {
	if said = strings.TrimSpace(said); said != "" {
		return fmt.Errorf("run %s: %w: %s", filepath.Base(program), err, said)
	}
	return fmt.Errorf("run %s: %w", filepath.Base(program), err)
}

// runProgram runs a program to its end and gives its standard output.
func runProgram(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out strings.Builder
	var last tail
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = environ(), &out, &last, lateOutput
	if err := cmd.Run(); err != nil {
		return "", failed(argv[0], causeOf(ctx, err), string(last.kept))
	}
	return out.String(), nil
}

// launch runs a program that leaves a server behind, in a session of its own so
// that the server outlives us. Its output goes to a file, never to a pipe: the
// server inherits it and would keep a pipe open for ever.
func launch(ctx context.Context, argv []string, logFile string) error {
	out, err := openLog(logFile)
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // written by the child only
	begin, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("open log of server: %w", err)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = environ(), "/", out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Run(); err != nil {
		return failed(argv[0], causeOf(ctx, err), lastWords(out, begin))
	}
	return nil
}

// openLog opens the server's log for appending; without one, a nameless file.
func openLog(path string) (*os.File, error) {
	if path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open log of server: %w", err)
		}
		return f, nil
	}
	f, err := os.CreateTemp("", "pg-watchdog-start-")
	if err != nil {
		return nil, fmt.Errorf("make file for output: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lastWords reads the end of what was written since begin.
func lastWords(f *os.File, begin int64) string {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	begin = max(begin, size-tailBytes)
	b, _ := io.ReadAll(io.NewSectionReader(f, begin, size-begin)) // only for the error's text
	return string(b)
}

// causeOf names the deadline instead of "signal: killed".
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return errors.Join(cause, err)
	}
	return err
}
