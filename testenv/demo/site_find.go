package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// DefaultDir is where a site lives that is given no folder: one per user, below
// a folder that belongs to that user alone.
func DefaultDir() (string, error) {
	o, err := FindOwner()
	if err != nil {
		return "", err
	}
	root, err := o.keepRoot()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, "demo"), nil
}

// LockSites lets one process of a user at a time make, find or remove sites.
// It waits for its turn until the context ends, and calls waiting (if not nil)
// once when that takes more than a second; release gives it back.
func LockSites(ctx context.Context, waiting func()) (release func() error, err error) {
	o, err := FindOwner()
	if err != nil {
		return nil, err
	}
	root, err := o.keepRoot()
	if err != nil {
		return nil, err
	}
	f, err := flock(ctx, o, filepath.Join(root, "demo.lock"), waiting)
	if err != nil {
		return nil, err
	}
	return f.Close, nil
}

// Alive lists every process of the site in dir, by what the kernel says and not
// by what was written down: programs started from the site's own copy, and
// whatever works in one of its data directories.
func Alive(dir string) ([]int, error) {
	real, err := filepath.EvalSymlinks(dir)
	switch {
	case err == nil:
		dir = real
	case !errors.Is(err, os.ErrNotExist): // of a folder that is gone, processes may be left
		return nil, fmt.Errorf("find folder of the site: %w", err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !belongs(pid, dir) || ended(pid) {
			continue
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// belongs reads links of /proc, which nobody can make say something else.
func belongs(pid int, dir string) bool {
	link := func(name string) string {
		at, _ := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), name)) // gone, or another user's: not ours
		return strings.TrimSuffix(at, " (deleted)")
	}
	if link("exe") == filepath.Join(dir, "watchdog") {
		return true
	}
	data := func(path string) bool {
		rel, err := filepath.Rel(dir, path)
		return err == nil && filepath.Base(rel) == "data" && filepath.Dir(filepath.Dir(rel)) == "."
	}
	return data(link("cwd")) && !visits(pid) || data(bound(pid))
}

// Usable says whether a site may be made in dir: the folder is absent or empty,
// because it is removed with the site, and the servers' user can reach it.
func Usable(dir string) error {
	o, err := FindOwner()
	if err != nil {
		return err
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty, and the demo's folder is removed in the end; name a new one", dir)
	}
	root, err := o.keepRoot()
	if err != nil {
		return err
	}
	if parent := filepath.Dir(dir); o.Switch && parent != root && !reachable(parent) {
		return fmt.Errorf("the servers run as %s, who cannot enter %s; choose a folder elsewhere", o.User, parent)
	}
	return nil
}

// Remove ends what lives of the site in dir, by pid, and removes the folder,
// however little of it was made. It refuses a folder that holds no site.
func Remove(ctx context.Context, dir string) error {
	if !IsSite(dir) {
		return fmt.Errorf("%s is no folder of a demo; nothing was touched", dir)
	}
	// Services first: they would see a server die and say so.
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := endAll(ctx, dir, sig); err == nil {
			break
		}
	}
	if pids, err := Alive(dir); err != nil || len(pids) > 0 {
		return errors.Join(err, fmt.Errorf("end the demo in %s: processes %v stay", dir, pids))
	}
	o, err := FindOwner()
	if err != nil {
		return err
	}
	homes, _ := filepath.Glob(filepath.Join(dir, "*", "data")) // the pattern is well-formed
	for _, data := range homes {
		gone := &Server{Name: filepath.Base(filepath.Dir(data)), DataDir: data, owner: o}
		if err := gone.dropSegment(); err != nil {
			return err
		}
	}
	return removeFolder(ctx, dir)
}

// removeFolder removes what marks the folder as a site last, so that a removal
// that was cut short can be done again. A copy or a base backup that outlived
// its killed maker still writes for a moment.
func removeFolder(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var last error
	if err := poll(ctx, 50*time.Millisecond, func() (bool, error) {
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			if e.Name() != pairFile {
				err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
		if err == nil {
			err = os.RemoveAll(dir)
		}
		last = err
		return err == nil, nil
	}); err != nil {
		return fmt.Errorf("remove folder of the demo: %w", errors.Join(err, last))
	}
	return nil
}

// endAll ends services by a signal, and servers as a power cut does: their data
// is thrown away next.
func endAll(ctx context.Context, dir string, sig syscall.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	told := map[int]bool{}
	return poll(ctx, 20*time.Millisecond, func() (bool, error) {
		pids, err := Alive(dir)
		if err != nil {
			return false, err
		}
		for _, pid := range pids {
			if server(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is fine; the next round looks again
			} else if !told[pid] {
				_ = syscall.Kill(pid, sig)
			}
			told[pid] = true
		}
		return len(pids) == 0, nil
	})
}

// server is true for a process that works in a data directory, or is about to.
func server(pid int) bool {
	cwd, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	return err == nil && filepath.Base(strings.TrimSuffix(cwd, " (deleted)")) == "data" || bound(pid) != ""
}

// IsSite is true for a folder that this package made, or began to make.
func IsSite(dir string) bool { return exists(filepath.Join(dir, pairFile)) }
