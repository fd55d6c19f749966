package pgctl_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
)

func TestInProcess_Verbs_AreFixedCommandLines(t *testing.T) {
	begin := []string{"systemctl", "--no-pager", "--no-ask-password"}
	for verb, want := range map[pgctl.Verb][]string{
		pgctl.UnitStart: {"start", "--", unitName},
		pgctl.UnitStop:  {"stop", "--no-block", "--", unitName},
		pgctl.UnitShow:  {"show", "--property=LoadState,ActiveState,SubState,MainPID,Restart,UnitFileState,Result", "--", unitName},
	} {
		got, err := pgctl.InProcess{}.Command(verb, unitName)
		if err != nil || !cmp.Equal(got, append(append([]string(nil), begin...), want...)) {
			t.Errorf("%s: %q, %v", verb, got, err)
		}
	}
	for _, unit := range []string{"", "postgresql", "-H.service", "--help", "a b.service", "x.socket", "../x.service", "x;y.service", "x.service\n"} {
		if got, err := (pgctl.InProcess{}).Do(t.Context(), pgctl.UnitShow, unit); !errors.Is(err, pgctl.ErrRefused) {
			t.Errorf("unit %q: %q, %v; want ErrRefused", unit, got, err)
		}
	}
	if _, err := (pgctl.InProcess{}).Do(t.Context(), "unit-mask", unitName); !errors.Is(err, pgctl.ErrRefused) {
		t.Errorf("unknown verb: %v", err)
	}
}

func TestSystemd_NoManager_SaysItDoesNotKnow(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "systemctl", "show", "--property=Version").CombinedOutput()
	if err == nil {
		t.Skipf("skipped: a manager answers here: %s", out)
	}
	d := pgctl.Systemd{Unit: unitName, Privileged: pgctl.InProcess{}}
	if s, err := d.Status(within(t)); err == nil || s.Running || !strings.Contains(err.Error(), unitName) {
		t.Errorf("%+v, %v", s, err)
	}
	for _, m := range []pgctl.Mode{pgctl.ModeFast, pgctl.ModeImmediate} {
		if err := d.Stop(within(t), m); err == nil {
			t.Errorf("stop %v without a manager gave no error", m)
		}
	}
	if err := d.Start(within(t)); err == nil {
		t.Error("start without a manager gave no error")
	}
}

func TestUnitStatus_PropertiesAsSystemdPrintsThem(t *testing.T) {
	debian := "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=4711\nRestart=no\nUnitFileState=enabled-runtime\nResult=success\n"
	for name, c := range map[string]struct {
		text string
		want pgctl.Status
		err  error
	}{
		"Debian's, running": {text: debian, want: pgctl.Status{
			Running: true, Pids: []int{4711}, Restart: "Restart=no, enabled-runtime", StartsAtBoot: true,
			Detail: "test.service is active (running), result success",
		}},
		"stopped, restarts": {
			text: "LoadState=loaded\nActiveState=inactive\nSubState=dead\nMainPID=0\nRestart=always\nUnitFileState=disabled\nResult=success\n",
			want: pgctl.Status{Restart: "Restart=always, disabled", RestartsByItself: true, Detail: "test.service is inactive (dead), result success"},
		},
		"stopping still runs": {
			text: "LoadState=loaded\nActiveState=deactivating\nSubState=stop-sigterm\nMainPID=12\nRestart=no\nUnitFileState=\nResult=success\n",
			want: pgctl.Status{Running: true, Pids: []int{12}, Restart: "Restart=no, no unit file", Detail: "test.service is deactivating (stop-sigterm), result success"},
		},
		"not there": {text: "LoadState=not-found\nActiveState=inactive\nRestart=no\n", err: pgctl.ErrNoUnit},
	} {
		got, err := pgctl.UnitStatus(c.text)
		if !errors.Is(err, c.err) || !cmp.Equal(got, c.want) {
			t.Errorf("%s: %v, %s", name, err, cmp.Diff(c.want, got))
		}
	}
	for _, text := range []string{"", "ActiveState=active\n", "Restart=no\n", strings.Replace(debian, "4711", "many", 1)} {
		if got, err := pgctl.UnitStatus(text); err == nil {
			t.Errorf("%q: %+v without an error", text, got)
		}
	}
}

// answers is a Privileged that gives the properties of a unit whose main process
// is not a server of PostgreSQL.
type answers string

func (a answers) Do(_ context.Context, verb pgctl.Verb, _ string) (string, error) {
	if verb == pgctl.UnitShow {
		return string(a), nil
	}
	return "", nil
}

func TestSystemdStop_MainProcessIsNoServer_IsNotSignalled(t *testing.T) {
	text := "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=1\nRestart=no\n"
	d := pgctl.Systemd{Unit: unitName, Privileged: answers(text)}
	if err := d.Stop(within(t), pgctl.ModeImmediate); err == nil || !strings.Contains(err.Error(), "is no PostgreSQL server") {
		t.Errorf("error %v", err)
	}
}
