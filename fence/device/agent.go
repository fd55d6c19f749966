package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// AgentOptions describe one power device that a Debian fence agent drives.
type AgentOptions struct {
	Node     string            // node whose power it holds
	Program  string            // "fence_ipmilan", or an absolute path
	Options  map[string]string // ip, username, plug, lanplus, ...; no secrets
	Secrets  map[string]string // option name to file, read at each use: {"password": "/etc/pg-watchdog/bmc-db1"}
	Observer string            // node that runs the agent, for the evidence
	Poll     time.Duration     // pause between two readings of the power; zero means 1 s
	Now      func() time.Time
}

// Agent fences by power through one of the fence-agents programs. Their
// interface (FenceAgentAPI.md of ClusterLabs/fence-agents): options as
// key=value lines on standard input, action=off and action=status, and for
// status exit 0 when on and 2 when off.
type Agent struct {
	o AgentOptions

	mu        sync.Mutex
	knownGood bool // its metadata was read and lists off and status
}

var (
	programName = regexp.MustCompile(`^fence_[a-z0-9_]+$`)
	optionName  = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	// secretName finds options that hold a secret: they come from files only,
	// because the configuration is shown, logged and shared between nodes.
	secretName = regexp.MustCompile(`(?i)passw(or)?d|secret|token|community|hexadecimal[_-]kg|api[_-]?key`)
)

// NewAgent checks the options. It neither runs the program nor reads a secret:
// both may come later than the configuration.
func NewAgent(o AgentOptions) (*Agent, error) {
	if o.Node == "" {
		return nil, errors.New("check fence agent: no node is named")
	}
	if !programName.MatchString(o.Program) && !(filepath.IsAbs(o.Program) && filepath.Clean(o.Program) == o.Program) {
		return nil, fmt.Errorf("check fence agent %q: want a name such as fence_ipmilan, or a clean absolute path", o.Program)
	}
	for _, k := range slices.Sorted(maps.Keys(o.Options)) {
		if err := checkOption(k, o.Options[k]); err != nil {
			return nil, fmt.Errorf("check option %s of %s: %w", k, o.Program, err)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(o.Secrets)) {
		if !optionName.MatchString(k) || k == "action" || !filepath.IsAbs(o.Secrets[k]) {
			return nil, fmt.Errorf("check secret %q of %s: want an option name and an absolute file name", k, o.Program)
		}
		if _, twice := o.Options[k]; twice {
			return nil, fmt.Errorf("check secret %q of %s: it is given as an option too", k, o.Program)
		}
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	return &Agent{o: o}, nil
}

func checkOption(k, v string) error {
	switch {
	case !optionName.MatchString(k):
		return errors.New("not an option name")
	case k == "action" || k == "option":
		return errors.New("the action is not configurable: off, read back")
	case strings.ContainsFunc(v, isControl):
		return errors.New("the value has a control character")
	case secretName.MatchString(k) && strings.HasSuffix(k, "script"):
		return errors.New("a script that prints a secret would run in a shell; next: give a file instead")
	case secretName.MatchString(k):
		return errors.New("secrets do not stand in the configuration; next: give a file instead (password_file)")
	case k == "method" && v != "onoff":
		// A machine that comes back by itself was not fenced.
		return fmt.Errorf("method %s: a power cycle is no fence; next: use method=onoff", v)
	}
	return nil
}

// Name implements fence.Device.
func (a *Agent) Name() string { return "agent:" + filepath.Base(a.o.Program) }

// Off sends action=off and then reads the power until it is off or ctx ends.
// The program's own word is never enough: some report success before the power
// is gone.
func (a *Agent) Off(ctx context.Context, o fence.Order) fence.Outcome {
	out := fence.Outcome{Node: o.Node, Device: a.Name(), Result: fence.ResultNotDone}
	if o.Node != a.o.Node {
		out.Problem = fmt.Sprintf("it holds the power of %s, not of %s", a.o.Node, o.Node)
		return out
	}
	if err := a.checkActions(ctx); err != nil {
		out.Problem = err.Error()
		return out
	}
	r, err := a.run(ctx, "off")
	if err != nil && !r.started {
		out.Problem = err.Error()
		return out
	}
	out.Evidence = append(out.Evidence, a.evidence("action=off", r))
	a.await(ctx, &out, r)
	return out
}

// Exit codes of fence-agents' library (fencing.py) after which an action=off
// may still take effect, or has: connection lost, timed out, waiting for off.
var mayHaveActed = []int{0, 4, 5, 7}

// await reads the power until off. Exit status 2 of action=status means off
// (FenceAgentAPI), but it is also the usual code for a wrong argument, so it
// counts only after an action=off that the program has understood.
func (a *Agent) await(ctx context.Context, out *fence.Outcome, off run) {
	understood := !off.killed && slices.Contains(mayHaveActed, off.code)
	out.Result, out.Problem = fence.ResultUnknown, unproven(off, fence.PowerUnknown, ctx.Err())
	for ctx.Err() == nil {
		s, r, err := a.read(ctx)
		if r.killed {
			return // the limit is over; what was read before stays the answer
		}
		last := a.evidence("action=status", r)
		switch {
		case understood && s == fence.PowerOff:
			out.Result, out.Grade, out.Problem = fence.ResultDone, fence.GradePower, ""
			out.Evidence = append(out.Evidence, last)
			return
		case !understood && s == fence.PowerOn:
			out.Result = fence.ResultNotDone
		}
		// A line per reading would bury the others: one, when it changes.
		if p := unproven(off, s, err); p != out.Problem {
			out.Problem = p
			out.Evidence = append(out.Evidence, last)
		}
		if !understood {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(a.o.Poll):
		}
	}
}

func unproven(off run, s fence.PowerState, err error) string {
	said := fmt.Sprintf("action=off ended with exit status %d", off.code)
	if off.killed {
		said = "action=off gave no answer and was killed"
	}
	text := fmt.Sprintf("%s, power reads %s", said, s)
	if err != nil {
		text += ": " + brief(err.Error())
	}
	if off.text != "" {
		text += " (" + brief(off.text) + ")"
	}
	return text
}

// briefRunes is how much of a program's words a problem carries. Agents print a
// whole call stack, the problem is shown in every line that names it, and the
// evidence has them in full.
const briefRunes = 160

func brief(s string) string {
	if r := []rune(s); len(r) > briefRunes {
		return string(r[:briefRunes]) + "..."
	}
	return s
}

// Status reads the power. Besides, it checks once that the program can switch
// off and read back at all, so that readiness tells before the night.
func (a *Agent) Status(ctx context.Context, node string) (fence.PowerState, fence.Evidence, error) {
	if node != a.o.Node {
		return fence.PowerUnknown, fence.Evidence{}, fmt.Errorf("%s holds the power of %s, not of %s", a.Name(), a.o.Node, node)
	}
	if err := a.checkActions(ctx); err != nil {
		return fence.PowerUnknown, fence.Evidence{}, err
	}
	s, r, err := a.read(ctx)
	return s, a.evidence("action=status", r), err
}

// read is one action=status.
func (a *Agent) read(ctx context.Context) (fence.PowerState, run, error) {
	r, err := a.run(ctx, "status")
	switch {
	case err != nil:
		return fence.PowerUnknown, r, err
	case r.code == 0:
		return fence.PowerOn, r, nil
	case r.code == 2:
		return fence.PowerOff, r, nil
	}
	return fence.PowerUnknown, r, fmt.Errorf("run %s action=status: exit status %d: %s", a.o.Program, r.code, r.text)
}

var actionTag = regexp.MustCompile(`<action\s[^>]*name="([a-z-]+)"`)

// checkActions refuses a program that has no off, or no status to read it back
// with: those that can only reboot or cycle are no fence.
func (a *Agent) checkActions(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.knownGood {
		return nil
	}
	r, err := a.runWith(ctx, nil, []byte("action=metadata\n"), metadataBytes)
	if err != nil {
		return err
	}
	if r.code != 0 {
		return fmt.Errorf("run %s action=metadata: exit status %d: %s", a.o.Program, r.code, r.text)
	}
	has := map[string]bool{}
	for _, m := range actionTag.FindAllStringSubmatch(r.text, -1) {
		has[m[1]] = true
	}
	for _, need := range []string{"off", "status"} {
		if !has[need] {
			return fmt.Errorf("%s has no action %s: it cannot prove that power is off; next: choose another fence agent (ls /usr/sbin/fence_*)", a.o.Program, need)
		}
	}
	a.knownGood = true
	return nil
}

// input is what goes to standard input, and the secrets in it.
func (a *Agent) input(action string) (in []byte, secrets []string, err error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "action=%s\n", action)
	for _, k := range slices.Sorted(maps.Keys(a.o.Options)) {
		fmt.Fprintf(&b, "%s=%s\n", k, quoted(a.o.Options[k]))
	}
	for _, k := range slices.Sorted(maps.Keys(a.o.Secrets)) {
		v, err := readSecret(a.o.Secrets[k])
		if err != nil {
			return nil, nil, fmt.Errorf("read %s of %s: %w", k, a.o.Program, err)
		}
		secrets = append(secrets, v)
		fmt.Fprintf(&b, "%s=%s\n", k, quoted(v))
	}
	return b.Bytes(), secrets, nil
}

// quoted keeps what the agents' library would strip: blanks at either end, and
// one pair of double quotes around the value.
func quoted(v string) string {
	if v != strings.TrimSpace(v) || (len(v) > 1 && strings.HasPrefix(v, `"`) && strings.HasSuffix(v, `"`)) {
		return `"` + v + `"`
	}
	return v
}

func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("%s is open to everybody (mode %04o); next: chmod 0640 %s", path, info.Mode().Perm(), path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	v := strings.TrimRight(string(raw), "\r\n")
	if v == "" || !utf8.ValidString(v) || strings.ContainsFunc(v, isControl) {
		return "", fmt.Errorf("%s does not hold one line of printable text", path)
	}
	return v, nil
}
