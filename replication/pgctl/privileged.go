package pgctl

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// Verb is what may be asked of root. The list is closed.
type Verb string

// The verbs.
const (
	UnitStart Verb = "unit-start" // start, and wait until the manager says how it went
	UnitStop  Verb = "unit-stop"  // enqueue a stop, without waiting
	UnitShow  Verb = "unit-show"  // properties as KEY=VALUE lines
)

var unitVerbs = []Verb{UnitStart, UnitStop, UnitShow}

// Privileged does the few things that need root, on a unit (NAME.service) or on
// the container of a compose service (PROJECT/SERVICE).
type Privileged interface {
	Do(ctx context.Context, verb Verb, name string) (output string, err error)
}

// unitName: what systemd.unit(5) allows, of type service, and never an option.
var unitName = regexp.MustCompile(`^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*\.service$`)

// unitProperties are those that a Status is made of.
const unitProperties = "LoadState,ActiveState,SubState,MainPID,Restart,UnitFileState,Result"

// InProcess runs systemctl and calls the container engine itself: as root, where
// polkit or the socket's group lets us, or for the user's own manager.
type InProcess struct {
	User   bool   // the caller's own manager (systemctl --user)
	Engine string // the container engine's socket; empty: there is none
}

var _ Privileged = InProcess{}

// Do implements Privileged. Errors: ErrRefused for a verb or name that it does
// not know, or the program's with its last words.
func (p InProcess) Do(ctx context.Context, verb Verb, unit string) (string, error) {
	if strings.HasPrefix(string(verb), containerPrefix) {
		if p.Engine == "" {
			return "", fmt.Errorf("%w: verb %q: no container engine is configured (helper.engine)", ErrRefused, verb)
		}
		return Engine{Socket: p.Engine}.Do(ctx, verb, unit)
	}
	argv, err := p.command(verb, unit)
	if err != nil {
		return "", err
	}
	if argv[0], err = exec.LookPath(argv[0]); err != nil {
		return "", fmt.Errorf("find systemctl: %w", err)
	}
	return runProgram(ctx, argv...)
}

func (p InProcess) command(verb Verb, unit string) ([]string, error) {
	if !unitName.MatchString(unit) {
		return nil, fmt.Errorf("%w: unit name %q", ErrRefused, unit)
	}
	argv := []string{"systemctl", "--no-pager", "--no-ask-password"}
	if p.User {
		argv = append(argv, "--user")
	}
	switch verb {
	case UnitStart:
		argv = append(argv, "start")
	case UnitStop:
		argv = append(argv, "stop", "--no-block")
	case UnitShow:
		argv = append(argv, "show", "--property="+unitProperties)
	default:
		return nil, fmt.Errorf("%w: verb %q", ErrRefused, verb)
	}
	return append(argv, "--", unit), nil
}
