package observe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// volume is one file system of this node with its recent past.
type volume struct {
	report  view.VolumeReport
	at      time.Time
	device  uint64
	samples []usage
}

// upkeep is what the node knows of its own disks. The volume loop alone writes
// it, under the observer's mutex.
type upkeep struct {
	volumes []volume
	archive *view.ArchiveReport
	at      time.Time // of archive
	faults  []string
}

// report gives copies, with ages as of now.
func (u *upkeep) report(now time.Time, h *view.HostReport) {
	for _, v := range u.volumes {
		r := v.report
		r.Age = age(now, v.at)
		h.Volumes = append(h.Volumes, r)
	}
	if u.archive != nil {
		a := *u.archive
		a.Age = age(now, u.at)
		h.Archive = &a
	}
	h.Faults = u.faults
}

// volumeLoop looks at the own disks, rarely: a file system that hangs makes it
// stand still, and its figures then grow old, which is a finding.
func (ob *Observer) volumeLoop(ctx context.Context) error {
	told := ""
	return every(ctx, ob.o.VolumePeriod, func(context.Context) {
		var faults []string
		volumes, err := ob.volumes()
		faults = note(faults, "free space not readable", err)
		archive, err := readyFiles(ob.o.DataDir, ob.o.Now())
		faults = note(faults, "archive status not readable", err)
		faults = note(faults, "state directory not writable", tryWrite(ob.o.StateDir))
		if now := strings.Join(faults, "; "); now != told && now != "" {
			ob.o.Log.Warn("own disks", zap.Strings("faults", faults))
			told = now
		}
		ob.update(func() bool {
			ob.disks.faults, ob.disks.archive, ob.disks.at = faults, archive, ob.o.Now()
			if volumes != nil {
				ob.disks.volumes = volumes
			}
			return false
		})
	})
}

func note(faults []string, what string, err error) []string {
	if err == nil {
		return faults
	}
	return append(faults, fmt.Sprintf("%s: %v", what, err))
}

// volumes measures the file systems behind the directories that matter, each
// once, and forecasts them from their past.
func (ob *Observer) volumes() ([]volume, error) {
	var out []volume
	now := ob.o.Now()
	for _, d := range []struct{ use, dir string }{
		{view.VolumeData, ob.o.DataDir}, {view.VolumeWAL, walDir(ob.o.DataDir)}, {view.VolumeState, ob.o.StateDir},
	} {
		if d.dir == "" {
			continue
		}
		v, err := measure(d.dir, now)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.dir, err)
		}
		if i := ofDevice(out, v.device); i >= 0 {
			out[i].report.Uses = append(out[i].report.Uses, d.use)
			continue
		}
		v.report.Uses = []string{d.use}
		if i := ofDevice(ob.disks.volumes, v.device); i >= 0 { // only this loop writes it
			v.samples = append(ob.disks.volumes[i].samples, v.samples...)
			v.samples = v.samples[max(0, len(v.samples)-forecastKeep):]
		}
		v.report.BytesPerHour, v.report.FullIn = forecast(v.samples, v.report.FreeBytes)
		out = append(out, v)
	}
	return out, nil
}

func walDir(dataDir string) string {
	if dataDir == "" {
		return ""
	}
	return filepath.Join(dataDir, "pg_wal") // often a symbolic link, which statfs follows
}

func ofDevice(all []volume, device uint64) int {
	for i, v := range all {
		if v.device == device {
			return i
		}
	}
	return -1
}

// measure counts as df does: what only root may use is neither free nor there.
func measure(dir string, now time.Time) (volume, error) {
	var on unix.Stat_t
	if err := unix.Stat(dir, &on); err != nil {
		return volume{}, err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return volume{}, err
	}
	used, free := capped(st.Blocks-min(st.Blocks, st.Bfree), st.Bsize), capped(st.Bavail, st.Bsize)
	return volume{device: on.Dev, at: now, samples: []usage{{now, used}}, report: view.VolumeReport{
		FreeBytes: free, TotalBytes: free + min(used, 1<<62-min(free, 1<<62)),
		FreeInodes: capped(min(st.Ffree, st.Files), 1), TotalInodes: capped(st.Files, 1),
	}}, nil
}

// readyFiles counts what the archiver has still to take; nil without a data directory.
func readyFiles(dataDir string, now time.Time) (*view.ArchiveReport, error) {
	if dataDir == "" {
		return nil, nil //nolint:nilnil // nothing to count is no error
	}
	entries, err := os.ReadDir(filepath.Join(walDir(dataDir), "archive_status"))
	if err != nil {
		return nil, err
	}
	var a view.ArchiveReport
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".ready") {
			continue
		}
		a.Ready++
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // archived since
			continue
		}
		if err != nil {
			return nil, err
		}
		a.Oldest = max(a.Oldest, min(now.Sub(info.ModTime()), farOff))
	}
	return &a, nil
}

// tryWrite makes and removes a small file: a full or read-only disk must be
// known before an operation has to write its journal there.
func tryWrite(dir string) error {
	if dir == "" {
		return nil
	}
	path := filepath.Join(dir, ".write-test")
	err := os.WriteFile(path, []byte("pg-watchdog writes this once a minute and removes it\n"), 0o600)
	return errors.Join(err, removed(os.Remove(path)))
}

func removed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
