package main

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gestionale-fullstack/watchdog/replication/admin"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// TestBytesText_TypedBack_IsNeverLess guards the confirmation: what is shown
// as the loss must be enough when it is typed.
func TestBytesText_TypedBack_IsNeverLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Max(1<<62).Draw(t, "bytes")
		got, err := config.ParseSize(bytesText(n))
		if err != nil || uint64(got) < n {
			t.Fatalf("bytesText(%d) = %q, read back as %d, %v", n, bytesText(n), got, err)
		}
	})
}

func TestClean_TextFromOutside_CannotDraw(t *testing.T) {
	for in, want := range map[string]string{
		"a\x1b[2Jb": "a[2Jb", "a\nb": "a b", "a\u009b31mb": "a31mb", "a\u202eb": "ab", "però": "però", "a\xffb": "ab",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got := escapeControls("\"a\u009bb\""); got != `"a\u009bb"` {
		t.Errorf("escapeControls = %q", got)
	}
}

func TestAgeText(t *testing.T) {
	for in, want := range map[time.Duration]string{
		-1: "never", 0: "0.0s", 230 * time.Millisecond: "0.2s", 43 * time.Second: "43s", 163 * time.Second: "2m43s",
		3*time.Hour + 12*time.Minute: "3h12m", 6 * 24 * time.Hour: "6d",
	} {
		if got := ageText(in); got != want {
			t.Errorf("ageText(%v) = %q, want %q", in, got, want)
		}
	}
}

// TestLived_CutAtOnce_IsNoSignOfLife: a stream that only repeats its past and
// is cut must not keep the search for it going for ever.
func TestLived_CutAtOnce_IsNoSignOfLife(t *testing.T) {
	cut := &control.Unreachable{Phase: control.PhaseBrokenAnswer, Err: errors.New("cut")}
	refused := &control.Unreachable{Phase: control.PhaseRefused, Err: errors.New("refused")}
	if lived(cut, 10*time.Millisecond) || lived(refused, time.Minute) || !lived(cut, time.Minute) {
		t.Error("a stream lived when it should not have, or the other way round")
	}
}

// TestDefaults_RolesAreThoseThatInitDBMakes ties two packages that must not
// know each other.
func TestDefaults_RolesAreThoseThatInitDBMakes(t *testing.T) {
	p := config.Defaults().Postgres
	if p.Monitor.User != admin.RoleMonitor || p.Act.User != admin.RoleAct || p.Replication.User != admin.RoleRepl {
		t.Errorf("roles = %q, %q, %q", p.Monitor.User, p.Act.User, p.Replication.User)
	}
}
