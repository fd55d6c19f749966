package observe_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// untilOf waits until the conditions of these codes are those named, each as
// "Code/subject severity".
func (v *vantage) untilOf(t *testing.T, codes []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	testenv.Wait(t, limit, "conditions "+strings.Join(want, ", "), func() (bool, string) {
		var got, texts []string
		for _, c := range v.conditions(t) {
			if slices.Contains(codes, c.Code) {
				got = append(got, c.Code+"/"+c.Subject+" "+c.Severity.String())
				texts = append(texts, c.Text)
			}
		}
		slices.Sort(got)
		return slices.Equal(got, want) && v.settled() && v.surveyed(), fmt.Sprintf("%v: %v", got, texts)
	})
}

// surveyed says that every server that answers has been asked by SQL, so that
// silence means health.
func (v *vantage) surveyed() bool {
	return !slices.ContainsFunc(v.Report().Servers, func(s view.ServerReport) bool { return s.StatusAge < 0 && s.Answered >= 0 })
}

func execute(t *testing.T, s *demo.Server, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if err := s.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}

// writeWAL writes about this many MB of WAL.
func writeWAL(t *testing.T, s *demo.Server, megabytes int) {
	t.Helper()
	execute(t, s, "CREATE TABLE IF NOT EXISTS filler (t text)",
		fmt.Sprintf("INSERT INTO filler SELECT repeat('x', 1900) FROM generate_series(1, %d)", megabytes*512))
}

func stopServer(t *testing.T, s *demo.Server) {
	t.Helper()
	if err := s.Stop(t.Context(), demo.StopFast); err != nil {
		t.Fatal(err)
	}
}

func startServer(t *testing.T, s *demo.Server, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := s.Start(ctx, args...); err != nil {
		t.Fatal(err)
	}
}

// ownDisks lets the observer measure its own node too.
func ownDisks(t *testing.T, p *demo.Pair, node string) func(*observe.Options) {
	return func(o *observe.Options) {
		o.DataDir, o.StateDir, o.VolumePeriod = p.Server(node).DataDir, t.TempDir(), 200*time.Millisecond
	}
}

func TestReal_Slots_InactiveThenFilledThenLost_AreToldAndResolve(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	v := watchFrom(t, p, primary.Name, ownDisks(t, p, primary.Name))
	slot := primary.Name + "/" + demo.SlotName(standby.Name)
	codes := []string{view.SlotInactive, view.SlotRetentionHigh, view.SlotLost}
	v.untilOf(t, codes)

	stopServer(t, standby)
	v.untilOf(t, codes, "SlotInactive/"+slot+" page")
	for _, c := range v.conditions(t) {
		if c.Code == view.SlotInactive && (!strings.Contains(c.Text, "max_slot_wal_keep_size is unlimited") || !slices.Contains(c.InhibitedBy, view.ReplicationDown)) {
			t.Errorf("%q, inhibited by %v: want the advice, and the broken replication as its cause", c.Text, c.InhibitedBy)
		}
	}
	startServer(t, standby)
	v.untilOf(t, codes)

	execute(t, standby, "SELECT pg_create_physical_replication_slot('former', true)")
	v.untilOf(t, codes, "SlotInactive/"+standby.Name+"/former warning")
	execute(t, standby, "SELECT pg_drop_replication_slot('former')")
	v.untilOf(t, codes)

	stopServer(t, standby)
	execute(t, primary, "ALTER SYSTEM SET max_slot_wal_keep_size = '96MB'", "SELECT pg_reload_conf()")
	writeWAL(t, primary, 52)
	v.untilOf(t, codes, "SlotInactive/"+slot+" page", "SlotRetentionHigh/"+slot+" warning")
	writeWAL(t, primary, 26)
	v.untilOf(t, codes, "SlotInactive/"+slot+" page", "SlotRetentionHigh/"+slot+" page")
	writeWAL(t, primary, 64)
	execute(t, primary, "CHECKPOINT")
	v.untilOf(t, codes, "SlotLost/"+slot+" page")
	execute(t, primary, "SELECT pg_drop_replication_slot('"+demo.SlotName(standby.Name)+"')")
	v.untilOf(t, codes)
}

func TestReal_ArchiveCommandFails_IsToldAndResolves(t *testing.T) {
	p := testenv.NewPair(t)
	primary := p.Servers[0]
	stopServer(t, primary)
	startServer(t, primary, "-c", "archive_mode=on")
	execute(t, primary, "ALTER SYSTEM SET archive_command = 'true'", "SELECT pg_reload_conf()")
	v := watchFrom(t, p, primary.Name, ownDisks(t, p, primary.Name))
	codes := []string{view.ArchiverFailing, view.ConfigDrift}
	drift := "ConfigDrift/" + primary.Name + "-" + p.Servers[1].Name + " warning" // archive_mode is off on the other
	v.untilOf(t, codes, drift)
	execute(t, primary, "ALTER SYSTEM SET archive_command = 'exit 7'", "SELECT pg_reload_conf()", "CREATE TABLE one ()", "SELECT pg_switch_wal()")
	v.untilOf(t, codes, "ArchiverFailing/"+primary.Name+" warning", drift)
	testenv.Wait(t, limit, "the segment that waits in the text", func() (bool, string) {
		for _, c := range v.conditions(t) {
			if c.Code == view.ArchiverFailing {
				return strings.Contains(c.Text, "fails at 0000") && strings.Contains(c.Text, "segments wait"), c.Text
			}
		}
		return false, "nothing is told"
	})
	execute(t, primary, "ALTER SYSTEM SET archive_command = 'true'", "SELECT pg_reload_conf()")
	v.untilOf(t, codes, drift)
}

func TestReal_ArchivedSegmentRemoved_IsAHoleUntilItIsBack(t *testing.T) {
	p := testenv.NewPair(t)
	primary, archive := p.Servers[0], t.TempDir()
	stopServer(t, primary)
	startServer(t, primary, "-c", "archive_mode=on", "-c", "archive_command=cp %p "+archive+"/%f")
	for i := range 4 {
		execute(t, primary, fmt.Sprintf("CREATE TABLE t%d ()", i), "SELECT pg_switch_wal()")
	}
	var names []string
	testenv.Wait(t, limit, "four archived segments", func() (bool, string) {
		all, err := filepath.Glob(filepath.Join(archive, strings.Repeat("[0-9A-F]", 24)))
		names = all
		return err == nil && len(all) >= 4, fmt.Sprint(all, err)
	})
	v := watchFrom(t, p, primary.Name, func(o *observe.Options) { o.ArchiveDir, o.ArchivePeriod = archive, 100*time.Millisecond })
	codes := []string{view.WalGap}
	testenv.Wait(t, limit, "a look into the archive", func() (bool, string) {
		w := v.Report().Host.WALArchive
		return w != nil && w.Segments >= 4, fmt.Sprintf("%+v", w)
	})
	v.untilOf(t, codes)
	aside := filepath.Join(t.TempDir(), "aside")
	if err := os.Rename(names[1], aside); err != nil {
		t.Fatal(err)
	}
	v.untilOf(t, codes, "WalGap/archive page")
	for _, c := range v.conditions(t) {
		if c.Code == view.WalGap && !strings.Contains(c.Text, filepath.Base(names[1])) {
			t.Errorf("%q does not name the missing segment", c.Text)
		}
	}
	if err := os.Rename(aside, names[1]); err != nil {
		t.Fatal(err)
	}
	v.untilOf(t, codes)
	if err := os.Rename(archive, archive+".gone"); err != nil {
		t.Fatal(err)
	}
	v.untilOf(t, codes, "WalGap/archive warning")
	if err := os.Rename(archive+".gone", archive); err != nil {
		t.Fatal(err)
	}
	v.untilOf(t, codes)
}
