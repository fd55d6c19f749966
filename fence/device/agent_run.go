package device

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// outputBytes is what is kept of an agent's output: enough for its last words.
// Metadata is XML of some 10 to 30 KiB and is read whole.
const (
	outputBytes   = 4 << 10
	metadataBytes = 256 << 10
)

// childPath finds fence-agents (in /usr/sbin) and the tools that they call.
const childPath = "/usr/sbin:/usr/bin:/sbin:/bin"

// run is what one call of an agent gave.
type run struct {
	started bool
	killed  bool // ctx ended first
	code    int
	text    string // output, capped, printable, secrets redacted
	took    time.Duration
}

func (a *Agent) run(ctx context.Context, action string) (run, error) {
	in, secrets, err := a.input(action)
	if err != nil {
		return run{}, err
	}
	return a.runWith(ctx, secrets, in, outputBytes)
}

// runWith starts the program in its own process group, so that what it has
// started (ipmitool, ssh) ends with it. The environment is empty but for the
// language and the path: nothing of ours leaks into it.
func (a *Agent) runWith(ctx context.Context, secrets []string, in []byte, limit int) (run, error) {
	path, err := findProgram(a.o.Program)
	if err != nil {
		return run{}, err
	}
	if err := ctx.Err(); err != nil {
		return run{}, fmt.Errorf("run %s: %w", a.o.Program, err)
	}
	longest := 0
	for _, s := range secrets {
		longest = max(longest, len(s))
	}
	out := &capped{limit: limit + longest}
	cmd := exec.CommandContext(ctx, path)
	cmd.Stdin = strings.NewReader(string(in))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = []string{"LC_ALL=C", "LANG=C", "PATH=" + childPath}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // a grandchild that left the group may hold the pipe
	began := a.o.Now()
	if err := cmd.Start(); err != nil {
		return run{}, fmt.Errorf("start %s: %w", path, err)
	}
	err = cmd.Wait()
	r := run{started: true, code: cmd.ProcessState.ExitCode(), took: a.o.Now().Sub(began), text: presentable(out, secrets, limit)}
	if ctx.Err() != nil && !cmd.ProcessState.Exited() {
		r.killed = true
		return r, fmt.Errorf("run %s: killed after %s without an answer", a.o.Program, r.took.Round(time.Millisecond))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) && !errors.Is(err, ctx.Err()) {
		return r, fmt.Errorf("run %s: %w", a.o.Program, err)
	}
	if !cmd.ProcessState.Exited() {
		return r, fmt.Errorf("run %s: ended by a signal: %s", a.o.Program, r.text)
	}
	return r, nil
}

// findProgram says which package is missing, not only that a file is.
func findProgram(program string) (string, error) {
	candidates := []string{program}
	if !filepath.IsAbs(program) {
		candidates = nil
		for _, dir := range filepath.SplitList(childPath) {
			candidates = append(candidates, filepath.Join(dir, program))
		}
	}
	for _, c := range candidates {
		info, err := os.Stat(c)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("find fence agent: %w", err)
		}
		if info.IsDir() || info.Mode().Perm()&0o111 == 0 {
			return "", fmt.Errorf("find fence agent: %s is not a program", c)
		}
		return c, nil
	}
	return "", fmt.Errorf("fence agent %s is not installed; next: apt-get install fence-agents", program)
}

// evidence is one call as it is shown: what was asked, what came, how long.
func (a *Agent) evidence(what string, r run) fence.Evidence {
	answer := fmt.Sprintf("exit status %d", r.code)
	if r.killed {
		answer = "no answer, killed"
	} else if !r.started {
		answer = "not run"
	}
	text := fmt.Sprintf("%s %s: %s after %s", filepath.Base(a.o.Program), what, answer, r.took.Round(time.Millisecond))
	if r.text != "" {
		text += ": " + r.text
	}
	return fence.Evidence{Observer: a.o.Observer, Text: text, At: a.o.Now()}
}

// capped keeps the first bytes and swallows the rest, so that a chatty program
// is never blocked by a full pipe.
type capped struct {
	buf   []byte
	limit int
	cut   bool
}

func (c *capped) Write(p []byte) (int, error) {
	room := c.limit - len(c.buf)
	if room < len(p) {
		c.cut = true
	}
	c.buf = append(c.buf, p[:min(max(room, 0), len(p))]...)
	return len(p), nil
}

// presentable makes text from outside fit to be logged, mailed and shown:
// printable, without the secrets, not longer than limit bytes.
func presentable(c *capped, secrets []string, limit int) string {
	text := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		if isControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, string(c.buf))
	longest := 0
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "***")
		longest = max(longest, len(s))
	}
	if c.cut && longest > 0 {
		// The cut may have left the beginning of a secret at the very end.
		text = text[:max(0, len(text)-longest+1)]
	}
	text = strings.Join(strings.Fields(text), " ")
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}

// isControl is true for what a terminal or a mail header could act on,
// including the Unicode marks that reorder text.
func isControl(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
