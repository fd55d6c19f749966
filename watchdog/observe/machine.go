package observe

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gestionale-fullstack/watchdog/watchdog/audit"
)

// fileSystems names those that do not outlive a reboot or a container; the rest
// is told by number (statfs(2)).
var fileSystems = map[int64]string{
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", 0x2fc12fc1: "zfs", unix.NFS_SUPER_MAGIC: "nfs",
}

// Machine reads what an audit asks of this machine. stateDir is the state
// directory, dataDir the data directory, empty on a witness. What cannot be read
// stays not known.
func Machine(stateDir, dataDir string) audit.Host {
	h := audit.Host{StateFS: fileSystem(stateDir), DataDir: dataDir}
	h.ClockSynced, h.ClockKnown = ClockSynced()
	if dataDir == "" {
		return h
	}
	if free, total, err := space(dataDir); err == nil {
		h.DataFreeBytes, h.DataTotalBytes = free, total
	}
	if info, err := os.Stat(dataDir); err == nil {
		h.DataMode = uint32(info.Mode().Perm())
	}
	return h
}

func fileSystem(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return ""
	}
	if name, known := fileSystems[int64(st.Type)]; known { //nolint:unconvert // its width depends on the machine
		return name
	}
	return "another file system"
}

// timesyncMark is touched by systemd-timesyncd at each synchronisation, and can
// be seen where the kernel may not be asked.
const timesyncMark = "/run/systemd/timesync/synchronized"

// ClockSynced asks the kernel whether its clock is disciplined by NTP
// (adjtimex(2), STA_UNSYNC). known is false where it may not be asked: the
// service's unit is kept from the calls that can set the clock.
func ClockSynced() (synced, known bool) {
	const unsynced = 0x40 // STA_UNSYNC
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err == nil:
		return t.Status&unsynced == 0 && state != unix.TIME_ERROR, true
	case errors.Is(err, unix.EPERM):
		_, err := os.Stat(timesyncMark)
		return err == nil, err == nil
	}
	return false, false
}
