package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDiskVariable names the folder of the small disk for the tests, which run
// in a child process when Main hands them over to another user.
const smallDiskVariable = "WATCHDOG_TEST_SMALL_DISK"

// SmallDiskBytes and SmallDiskInodes are the size of the small disk.
const (
	SmallDiskBytes  = 16 << 20
	SmallDiskInodes = 400
)

// OfferSmallDisk mounts a small file system for the tests of one binary; call it
// in TestMain, before Main. It lives in a mount namespace of this process and its
// children, so nothing is left behind however they end. Without the right to
// mount nothing happens, and SmallDisk skips.
func OfferSmallDisk() {
	if os.Getuid() != 0 || os.Getenv(smallDiskVariable) != "" {
		return
	}
	runtime.LockOSThread() // the namespace is this thread's, and the children's that it starts
	dir, err := mountSmallDisk()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testenv: no small disk:", err)
		return
	}
	os.Setenv(smallDiskVariable, dir) //nolint:errcheck,gosec // a good name and value
}

func mountSmallDisk() (string, error) {
	// An empty folder that stays; only this namespace sees what lies over it.
	const over = "/tmp/pg-watchdog-small-disk"
	if err := os.MkdirAll(over, 0o700); err != nil {
		return "", err
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return "", fmt.Errorf("make mount namespace: %w", err)
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("make mounts private: %w", err)
	}
	options := fmt.Sprintf("size=%d,nr_inodes=%d,mode=1777", SmallDiskBytes, SmallDiskInodes)
	if err := unix.Mount("tmpfs", over, "tmpfs", 0, options); err != nil {
		return "", fmt.Errorf("mount: %w", err)
	}
	return over, nil
}

// SmallDisk gives a folder on the small disk, emptied when the test ends. One
// test of a binary at a time may use it. It skips where OfferSmallDisk could not
// mount.
func SmallDisk(t testing.TB) string {
	t.Helper()
	disk := os.Getenv(smallDiskVariable)
	if disk == "" {
		t.Skip("skipped: mounting a small file system needs root")
	}
	dir := filepath.Join(disk, "disk")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
