package testenv

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// Exit statuses of fencing.py in Debian's fence-agents.
const (
	agentOK     = 0 // done; for status: on
	agentError  = 1
	agentOff    = 2 // for status: off
	agentStatus = 8 // the state cannot be read
)

const shamMetadata = `<?xml version="1.0" ?>
<resource-agent name="fence_sham" shortdesc="Power switch for nodes that are processes">
<parameters>
	<parameter name="action" unique="0" required="1"><content type="string" default="reboot" /></parameter>
	<parameter name="plug" unique="0" required="1"><content type="string" /></parameter>
</parameters>
<actions>
	<action name="on" automatic="0" /><action name="off" /><action name="status" />
	<action name="monitor" /><action name="metadata" />
</actions>
</resource-agent>
`

// shamAgent is one run of the agent.
type shamAgent struct {
	dir      string
	settings shamSettings
	plug     string
}

// shamPowerMain is the agent as a program: options as key=value lines on
// standard input, a line of text, and an exit status.
func shamPowerMain() int {
	dir := os.Getenv(shamDirVariable)
	options, err := readOptions(os.Stdin)
	if err != nil {
		return complain(err)
	}
	settings, err := readSham(dir)
	if err != nil {
		return complain(err)
	}
	if err := record(dir, options); err != nil {
		return complain(err)
	}
	plug := options["plug"]
	if plug == "" {
		plug = options["port"] // the older name of the option
	}
	return shamAgent{dir: dir, settings: settings, plug: plug}.do(options["action"])
}

func (a shamAgent) do(action string) int {
	switch a.settings.Mode {
	case ShamHang:
		select {} // until its caller kills it
	case ShamFail:
		return complain(errors.New("Failed: the switch says no")) //nolint:staticcheck // worded as the agents are
	}
	if action == "metadata" {
		fmt.Print(shamMetadata)
		return agentOK
	}
	if action == "monitor" {
		return agentOK
	}
	if _, known := a.settings.Plugs[a.plug]; !known {
		return complain(fmt.Errorf("Failed: no plug %q", a.plug)) //nolint:staticcheck // worded as the agents are
	}
	switch action {
	case "off":
		return a.off()
	case "on":
		return a.on()
	case "status":
		return a.status()
	}
	return complain(fmt.Errorf("Failed: Unrecognised action '%s'", action)) //nolint:staticcheck // worded as the agents are
}

func (a shamAgent) off() int {
	var err error
	switch a.settings.Mode {
	case ShamLie:
	case ShamSlow:
		err = os.WriteFile(a.pollsFile(), nil, 0o600)
	default:
		err = a.cut()
	}
	if err != nil {
		return complain(err)
	}
	fmt.Println("Success: Powered OFF")
	return agentOK
}

// cut kills what hangs on the plug and remembers that it is off.
func (a shamAgent) cut() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	nodes := a.settings.Plugs[a.plug]
	for _, pid := range nodes.Pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill %d: %w", pid, err)
		}
	}
	for _, dir := range nodes.DataDirs {
		if err := (&demo.Server{DataDir: dir}).Kill(ctx); err != nil {
			return err
		}
	}
	return os.WriteFile(offFile(a.dir, a.plug), nil, 0o600)
}

func (a shamAgent) on() int {
	if err := os.Remove(offFile(a.dir, a.plug)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return complain(err)
	}
	fmt.Println("Success: Powered ON")
	return agentOK
}

func (a shamAgent) status() int {
	if a.settings.Mode == ShamBlind {
		fmt.Fprintln(os.Stderr, "Failed: Unable to obtain correct plug status or plug is not available")
		return agentStatus
	}
	if err := a.countPoll(); err != nil {
		return complain(err)
	}
	if _, err := os.Stat(offFile(a.dir, a.plug)); err == nil {
		fmt.Println("Status: OFF")
		return agentOff
	}
	fmt.Println("Status: ON")
	return agentOK
}

// countPoll cuts the power late when a slow `off` is on its way. The file's
// length is the number of status requests since then.
func (a shamAgent) countPoll() error {
	polls, err := os.ReadFile(a.pollsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(polls) < slowPolls {
		return os.WriteFile(a.pollsFile(), append(polls, '.'), 0o600)
	}
	if err := a.cut(); err != nil {
		return err
	}
	return os.Remove(a.pollsFile())
}

func (a shamAgent) pollsFile() string { return filepath.Join(a.dir, "polls-"+a.plug) }

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return agentError
}

// readOptions reads key=value lines; blank lines and comments are skipped and
// the action is reboot when none is given, as fencing.py has it.
func readOptions(r io.Reader) (map[string]string, error) {
	options := map[string]string{"action": "reboot"}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !found {
			return nil, fmt.Errorf("Parse error: line without '=': %q", line) //nolint:staticcheck // worded as the agents are
		}
		options[key] = value
	}
	return options, lines.Err()
}

// record appends the call, one JSON line.
func record(dir string, options map[string]string) error {
	data, err := json.Marshal(ShamCall{At: time.Now(), Options: options})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "calls"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	return errors.Join(err, f.Close())
}
