package story

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// atTerminal types a command line at a node, on a terminal, and then these
// answers to whatever it asks.
func (s *site) atTerminal(node string, answers []string, args ...string) answer {
	s.t.Helper()
	keyboard, terminal, err := openTerminal()
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _, _ = keyboard.Close(), terminal.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	n := s.Node(node)
	cmd := exec.CommandContext(ctx, s.Binary, append(args, "--config", n.Config, "--socket", n.Socket)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, &out, &errs
	if _, err := keyboard.WriteString(strings.Join(answers, "\n") + "\n"); err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return answer{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// openTerminal makes a pseudo terminal (man 4 pts).
func openTerminal() (keyboard, terminal *os.File, err error) {
	keyboard, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open pseudo terminal: %w", err)
	}
	fd := int(keyboard.Fd())
	err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	if err == nil {
		var number int
		if number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err == nil {
			terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
		}
	}
	if err != nil {
		_ = keyboard.Close()
		return nil, nil, fmt.Errorf("open pseudo terminal: %w", err)
	}
	return keyboard, terminal, nil
}
