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

// disksOf observes the disks of one node that runs no PostgreSQL.
func disksOf(t *testing.T, dataDir, stateDir string) *vantage {
	t.Helper()
	return watchFrom(t, &demo.Pair{}, "db1", func(o *observe.Options) {
		o.DataDir, o.StateDir, o.VolumePeriod = dataDir, stateDir, 20*time.Millisecond
	})
}

// dataDirOn makes what looks like a data directory.
func dataDirOn(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "pg_wal", "archive_status"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (v *vantage) volume(t *testing.T, use string) view.VolumeReport {
	t.Helper()
	for _, r := range v.Report().Host.Volumes {
		if slices.Contains(r.Uses, use) {
			return r
		}
	}
	return view.VolumeReport{}
}

// untilDisk waits until the conditions on disks are those named.
func (v *vantage) untilDisk(t *testing.T, want ...string) {
	t.Helper()
	testenv.Wait(t, limit, "conditions "+strings.Join(want, " "), func() (bool, string) {
		var got []string
		for _, c := range v.conditions(t) {
			if c.Code == view.DiskSpace || c.Code == view.WatchdogDegraded {
				got = append(got, c.Code+"/"+c.Subject+" "+c.Severity.String())
			}
		}
		return slices.Equal(got, want) && len(v.Report().Host.Volumes) > 0, fmt.Sprintf("%v, host %+v", got, v.Report().Host)
	})
}

func fillFile(t *testing.T, dir, name string, bytes int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), make([]byte, bytes), 0o600); err != nil {
		t.Fatal(err)
	}
}

func empty(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestReal_DiskFills_WarnsThenPagesAndResolves(t *testing.T) {
	data := dataDirOn(t, testenv.SmallDisk(t))
	v := disksOf(t, data, t.TempDir())
	v.untilDisk(t)
	if got := v.volume(t, view.VolumeData); !slices.Equal(got.Uses, []string{view.VolumeData, view.VolumeWAL}) || got.TotalBytes != testenv.SmallDiskBytes {
		t.Errorf("%+v: one file system holds both", got)
	}
	fillFile(t, data, "half", testenv.SmallDiskBytes*9/10)
	v.untilDisk(t, "DiskSpace/db1/data warning")
	fillFile(t, data, "rest", testenv.SmallDiskBytes*8/100)
	v.untilDisk(t, "DiskSpace/db1/data page")
	empty(t, data, "half")
	empty(t, data, "rest")
	v.untilDisk(t)
}

func TestReal_InodesRunOut_IsDiskSpaceToo(t *testing.T) {
	data := dataDirOn(t, testenv.SmallDisk(t))
	v := disksOf(t, data, t.TempDir())
	v.untilDisk(t)
	many := filepath.Join(data, "many")
	if err := os.Mkdir(many, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range testenv.SmallDiskInodes * 97 / 100 {
		fillFile(t, many, fmt.Sprint(i), 0)
	}
	v.untilDisk(t, "DiskSpace/db1/data page")
	empty(t, data, "many")
	v.untilDisk(t)
}

func TestReal_DiskGrowsSteadily_HoursLeftAreToldAndPage(t *testing.T) {
	data := dataDirOn(t, testenv.SmallDisk(t))
	v := disksOf(t, data, t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	grown := make(chan struct{})
	go func() {
		defer close(grown)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil && i < 200; i++ {
			_ = os.WriteFile(filepath.Join(data, "g"+fmt.Sprint(i)), make([]byte, 8<<10), 0o600)
			<-tick.C
		}
	}()
	v.untilDisk(t, "DiskSpace/db1/data page") // a tenth is used, but at this rate it lasts for a minute
	if got := v.volume(t, view.VolumeData); got.FullIn <= 0 || got.FullIn > time.Hour || got.BytesPerHour == nil || *got.BytesPerHour <= 0 {
		t.Errorf("%+v", got)
	}
	for _, c := range v.conditions(t) {
		if c.Code == view.DiskSpace && !strings.Contains(c.Text, "full in") {
			t.Errorf("%q does not say when it is full", c.Text)
		}
	}
	stop()
	<-grown
	v.untilDisk(t)
}

func TestReal_StateDiskFull_ServiceSaysThatItCannotWrite(t *testing.T) {
	state := testenv.SmallDisk(t)
	v := disksOf(t, dataDirOn(t, t.TempDir()), state)
	v.untilDisk(t)
	f, err := os.Create(filepath.Join(state, "all"))
	if err != nil {
		t.Fatal(err)
	}
	for err = nil; err == nil; {
		_, err = f.Write(make([]byte, 64<<10))
	}
	_ = f.Close()
	v.untilDisk(t, "DiskSpace/db1/state page", "WatchdogDegraded/db1 warning")
	empty(t, state, "all")
	v.untilDisk(t)
}

func TestVolumes_ReadyFilesAreCounted(t *testing.T) {
	data := dataDirOn(t, t.TempDir())
	status := filepath.Join(data, "pg_wal", "archive_status")
	for _, name := range []string{"000000010000000000000001.ready", "000000010000000000000002.ready", "000000010000000000000003.done"} {
		fillFile(t, status, name, 0)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(status, "000000010000000000000001.ready"), old, old); err != nil {
		t.Fatal(err)
	}
	v := disksOf(t, data, t.TempDir())
	testenv.Wait(t, limit, "two segments that wait", func() (bool, string) {
		a := v.Report().Host.Archive
		return a != nil && a.Ready == 2 && a.Oldest > 59*time.Minute && a.Oldest < 2*time.Hour, fmt.Sprintf("%+v", a)
	})
}
