package pgctl_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

func TestWriteStandbySignal_CrashedPrimary_ComesUpReadOnlyAndIsolated(t *testing.T) {
	s := primary(t)
	ctx := within(t)
	// What a former primary may have lying about: a source of somebody's WAL.
	for _, sql := range []string{"ALTER SYSTEM SET restore_command = 'false'", "SELECT pg_switch_wal()"} {
		if err := s.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second writing changes nothing
		if err := pgctl.WriteStandbySignal(s.DataDir); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(s.DataDir, pgdata.StandbySignal))
	if err != nil || info.Mode() != 0o600 || info.Size() != 0 {
		t.Errorf("%v, %v; want an empty file of mode 0600", info, err)
	}
	b, err := pgctl.FindBinariesFor(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	odd := `it's "odd" $(exit 1) \ ` + "`x`" + ` \'; -c port=1`
	settings := append(pgctl.IsolatedStandby(), pgctl.Setting{Name: "watchdog.test", Value: odd})
	cmd, err := pgctl.ApplyOverrides([]string{b.Path("pg_ctl"), "start", "-w", "-D", s.DataDir, "-l", s.LogFile}, settings)
	if err != nil {
		t.Fatal(err)
	}
	d := pgCtl(s)
	d.StartCommand = cmd
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if in, err := s.InRecovery(ctx); err != nil || !in {
		t.Errorf("in recovery: %v, %v", in, err)
	}
	for _, want := range settings {
		if got, err := s.Ask(ctx, "SELECT current_setting($1)", want.Name); err != nil || got != want.Value {
			t.Errorf("%s is %q, %v; want %q", want.Name, got, err, want.Value)
		}
	}
	if err := s.Exec(ctx, "CREATE TABLE written ()"); err == nil {
		t.Error("the sealed server took a write")
	}
	if r, err := pgctl.StopVerified(ctx, d, s.DataDir, pgctl.DefaultLimits()); err != nil || !r.Clean || r.State != pgdata.StateShutDownInRecovery {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWriteStandbySignal_WhereItCannot_SaysSoAndFollowsNoLink(t *testing.T) {
	if err := pgctl.WriteStandbySignal(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing data directory gave no error")
	}
	dir, target := t.TempDir(), filepath.Join(t.TempDir(), "target")
	if err := os.Symlink(target, filepath.Join(dir, pgdata.StandbySignal)); err != nil {
		t.Fatal(err)
	}
	if err := pgctl.WriteStandbySignal(dir); err == nil {
		t.Error("a link in place of the file gave no error")
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the link was followed")
	}
}

func TestApplyOverrides_EachKindOfCommand(t *testing.T) {
	one := []pgctl.Setting{{Name: "a"}, {Name: "b.c", Value: "it's"}}
	quoted := `'-c' 'a=' '-c' 'b.c=it'\''s'`
	plain := []string{"-c", "a=", "-c", "b.c=it's"}
	for name, c := range map[string]struct {
		cmd  []string
		want []string
		err  error
	}{
		"pg_ctl":         {[]string{"/x/pg_ctl", "start"}, []string{"/x/pg_ctl", "start", "-o", quoted}, nil},
		"pg_ctl by sudo": {[]string{"sudo", "-u", "postgres", "pg_ctl", "start"}, []string{"sudo", "-u", "postgres", "pg_ctl", "start", "-o", quoted}, nil},
		"Debian":         {[]string{"pg_ctlcluster", "15-main", "start"}, []string{"pg_ctlcluster", "15-main", "start", "-o", quoted}, nil},
		"postgres":       {[]string{"postgres", "-D", "/d"}, append([]string{"postgres", "-D", "/d"}, plain...), nil},
		"entrypoint":     {[]string{"docker-entrypoint.sh", "postgres"}, append([]string{"docker-entrypoint.sh", "postgres"}, plain...), nil},
		"shell text":     {[]string{"/bin/bash", "-ec", "exec postgres"}, nil, pgctl.ErrShellCommand},
		"shell script":   {[]string{"sh", "/start.sh"}, append([]string{"sh", "/start.sh"}, plain...), nil},
		"nothing":        {nil, nil, pgctl.ErrShellCommand},
	} {
		before := append([]string(nil), c.cmd...)
		got, err := pgctl.ApplyOverrides(c.cmd, one)
		if !errors.Is(err, c.err) || !cmp.Equal(got, c.want) {
			t.Errorf("%s: %q, %v; want %q, %v", name, got, err, c.want, c.err)
		}
		if !cmp.Equal(before, c.cmd) {
			t.Errorf("%s: the caller's command was changed", name)
		}
		if same, err := pgctl.ApplyOverrides(c.cmd, nil); err != nil || !cmp.Equal(append([]string(nil), same...), before) {
			t.Errorf("%s without settings: %q, %v", name, same, err)
		}
	}
}

func TestOverrides_FileIsReadBackOrRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "overrides.json")
	if got, err := pgctl.ReadOverrides(path); err != nil || got != nil {
		t.Errorf("no file: %v, %v", got, err)
	}
	if err := pgctl.WriteOverrides(path, pgctl.IsolatedStandby()); err != nil {
		t.Fatal(err)
	}
	if got, err := pgctl.ReadOverrides(path); err != nil || !cmp.Equal(got, pgctl.IsolatedStandby()) {
		t.Errorf("%v, %v", got, err)
	}
	for range 2 {
		if err := pgctl.WriteOverrides(path, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := pgctl.ReadOverrides(path); err != nil || got != nil {
		t.Errorf("after removal: %v, %v", got, err)
	}
	for _, bad := range []pgctl.Setting{{}, {Name: "Port"}, {Name: "a b"}, {Name: "a=b"}, {Name: "-c"}, {Name: "a", Value: "x\ny"}, {Name: "a", Value: "\x00"}} {
		if err := pgctl.WriteOverrides(path, []pgctl.Setting{bad}); !errors.Is(err, pgctl.ErrBadSetting) {
			t.Errorf("%+v written: %v", bad, err)
		}
		if _, err := pgctl.ApplyOverrides([]string{"postgres"}, []pgctl.Setting{bad}); !errors.Is(err, pgctl.ErrBadSetting) {
			t.Errorf("%+v applied: %v", bad, err)
		}
	}
	for _, text := range []string{"", "{", `{"v":2,"settings":[{"name":"a"}]}`, `{"v":1}`, `{"v":1,"settings":[{"name":"-c"}]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := pgctl.ReadOverrides(path); err == nil {
			t.Errorf("%q read as %v", text, got)
		}
	}
}
