package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// teller writes the story: a numbered sentence, the command as an operator
// types it, and what it really prints.
type teller struct {
	out    io.Writer
	colour bool
	n      int
}

func (t *teller) paint(code, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// step begins the next step with one sentence about it.
func (t *teller) step(format string, args ...any) {
	t.n++
	t.line("\n%s", t.paint("36", fmt.Sprintf("# %d. ", t.n)+fmt.Sprintf(format, args...)))
}

// typed shows a command as it is typed on a node; empty: on neither.
func (t *teller) typed(node, command string) {
	prompt := "$ "
	if node != "" {
		prompt = "[" + node + "] $ "
	}
	t.line("%s", t.paint("1", prompt+command))
}

func (t *teller) line(format string, args ...any) { _, _ = fmt.Fprintf(t.out, format+"\n", args...) }

// text shows what a command printed.
func (t *teller) text(s string) { _, _ = io.WriteString(t.out, strings.TrimRight(s, "\n")+"\n") }

// watchdog types a command at a node's service, shows its output as it comes
// and gives it back with the exit code.
func (s *Story) watchdog(ctx context.Context, node string, args ...string) (string, int, error) {
	shown := make([]string, len(args))
	for i, a := range args {
		shown[i] = quoted(a)
	}
	s.tell.typed(node, "watchdog "+strings.Join(shown, " "))
	n := s.site.Node(node)
	cmd := exec.CommandContext(ctx, s.options.Program, args...)
	cmd.Env = append(os.Environ(), "WATCHDOG_CONFIG="+n.Config, "WATCHDOG_SOCKET="+n.Socket)
	if s.options.Colour {
		cmd.Env = append(cmd.Env, "CLICOLOR_FORCE=1")
	}
	return s.runShown(cmd)
}

// runShown lets a command write into the story. A session of its own keeps an
// interrupt typed at the terminal to us: we end the command ourselves.
func (s *Story) runShown(cmd *exec.Cmd) (string, int, error) {
	var said bytes.Buffer
	both := io.MultiWriter(s.tell.out, &said)
	cmd.Stdout, cmd.Stderr = both, both
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return said.String(), exit.ExitCode(), nil
	}
	return said.String(), 0, err
}

// want is watchdog for a command that has to end with an exit code.
func (s *Story) want(ctx context.Context, exit int, node string, args ...string) (string, error) {
	out, got, err := s.watchdog(ctx, node, args...)
	if err == nil && got != exit {
		err = fmt.Errorf("watchdog %s: exit %d, the story wants %d", args[0], got, exit)
	}
	return out, err
}

// quoted gives a word as a shell needs it.
func quoted(word string) string {
	if word != "" && !strings.ContainsAny(word, " '\"$`\\;&|<>()*?#~!") {
		return word
	}
	if key, value, ok := strings.Cut(word, "="); ok && strings.HasPrefix(key, "--") {
		return key + "=" + quoted(value)
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
