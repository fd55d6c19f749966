package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// Disk is a file system of its own under the data directory of one server.
type Disk struct {
	server *demo.Server
	place  string // where it is mounted
}

// NewDisk moves the data directory of a stopped server onto an ext4 of that many
// MiB in a file, mounted through a loop device: it can be frozen and it can be
// full. It needs a process that Main put into a mount namespace of its own.
func NewDisk(ctx context.Context, s *demo.Server, mebibytes int) (*Disk, error) {
	place := filepath.Join(filepath.Dir(s.DataDir), "disk")
	image := place + ".img"
	if err := os.Mkdir(place, 0o700); err != nil {
		return nil, fmt.Errorf("make disk: %w", err)
	}
	d := &Disk{server: s, place: place}
	for _, c := range [][]string{
		{"truncate", "-s", fmt.Sprintf("%dM", mebibytes), image},
		{"mkfs.ext4", "-q", "-m", "0", image},
		{"mount", "-o", "loop", image, place},
		{"rmdir", filepath.Join(place, "lost+found")}, // initdb's checks and pg_basebackup dislike it
		{"cp", "-a", s.DataDir + "/.", place},         // mode and owner of the folder too
		{"mount", "--bind", place, s.DataDir},
	} {
		if err := sh(ctx, c...); err != nil {
			return nil, errors.Join(fmt.Errorf("make disk: %w", err), d.Close())
		}
	}
	return d, nil
}

// Freeze holds up every write to the disk until Thaw; reads go on.
func (d *Disk) Freeze(ctx context.Context) error { return sh(ctx, "fsfreeze", "--freeze", d.place) }

// Thaw lets the writes go on.
func (d *Disk) Thaw(ctx context.Context) error { return sh(ctx, "fsfreeze", "--unfreeze", d.place) }

// filler is the file that fills the disk.
func (d *Disk) filler() string { return filepath.Join(d.place, "filler") }

// Fill leaves no byte free.
func (d *Disk) Fill() error {
	var st unix.Statfs_t
	if err := unix.Statfs(d.place, &st); err != nil {
		return fmt.Errorf("fill disk: %w", err)
	}
	f, err := os.Create(d.filler())
	if err != nil {
		return fmt.Errorf("fill disk: %w", err)
	}
	// All that is left, and then byte by byte what bookkeeping has taken of it.
	for size := int64(st.Bfree) * st.Bsize; size >= st.Bsize; size -= st.Bsize {
		if err = unix.Fallocate(int(f.Fd()), 0, 0, size); err == nil || !errors.Is(err, unix.ENOSPC) {
			break
		}
	}
	return errors.Join(err, f.Close())
}

// Empty gives the room back that Fill took.
func (d *Disk) Empty() error { return os.Remove(d.filler()) }

// Close ends the server and takes the disk away, with all that is on it.
func (d *Disk) Close() error {
	ctx := context.Background()
	_ = d.Thaw(ctx) // mostly it is not frozen
	err := d.server.Kill(ctx)
	for _, at := range []string{d.server.DataDir, d.place} {
		_ = sh(ctx, "umount", at) // not mounted when making it has failed
	}
	return errors.Join(err, os.Remove(d.place+".img"))
}

func sh(ctx context.Context, words ...string) error {
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s: %w: %s", strings.Join(words, " "), err, out)
	}
	return nil
}
