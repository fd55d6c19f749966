package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SocketError is why the local socket cannot be had. Nothing was deleted.
type SocketError struct {
	Path   string
	Reason string
	Hint   string // next command
	Err    error
}

// Error names the path and the reason.
func (e *SocketError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("listen on %s: %s: %v", e.Path, e.Reason, e.Err)
	}
	return fmt.Sprintf("listen on %s: %s", e.Path, e.Reason)
}

// Unwrap gives the cause.
func (e *SocketError) Unwrap() error { return e.Err }

// ErrAlreadyRunning is the cause when another service answers on the socket.
var ErrAlreadyRunning = errors.New("another service is already running")

const (
	socketMode = 0o660
	dirMode    = 0o750
	// freshSuffix names the socket until its mode and group are set.
	freshSuffix = ".new"
	// maxSocketPath is sun_path of unix(7) less its closing zero.
	maxSocketPath = 107 - len(freshSuffix)
	// liveDial bounds the question whether somebody listens on a socket.
	liveDial = time.Second
)

// listenUnix makes the socket at path with mode 0660 and, when gid is not
// negative, that group. It is bound under another name and renamed when its mode
// is right, so that there is no moment at which others could connect. The lock
// beside it makes two services that start at once see each other.
func listenUnix(path string, gid int) (*net.UnixListener, *os.File, error) {
	if len(path) > maxSocketPath {
		return nil, nil, &SocketError{
			Path: path, Reason: fmt.Sprintf("path has %d bytes, the kernel allows %d", len(path), maxSocketPath),
			Hint: "choose a shorter control.socket in the configuration",
		}
	}
	if err := makeSocketDir(filepath.Dir(path), gid); err != nil {
		return nil, nil, err
	}
	lock, err := lockSocket(path)
	if err != nil {
		return nil, nil, err
	}
	l, err := bindSocket(path, gid)
	if err != nil {
		_ = lock.Close()
		return nil, nil, err
	}
	return l, lock, nil
}

// makeSocketDir makes the directory when it is missing. One that exists is the
// administrator's, and only refused when anybody could replace the socket in it.
func makeSocketDir(dir string, gid int) error {
	fi, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, dirMode); err != nil {
			return &SocketError{Path: dir, Reason: "make directory", Err: err}
		}
		if err := os.Chmod(dir, dirMode); err != nil { // whatever the umask took
			return &SocketError{Path: dir, Reason: "set mode of directory", Err: err}
		}
		if gid >= 0 {
			if err := os.Chown(dir, -1, gid); err != nil {
				return &SocketError{Path: dir, Reason: "set group of directory", Err: err, Hint: groupHint}
			}
		}
		return nil
	case err != nil:
		return &SocketError{Path: dir, Reason: "read directory", Err: err}
	case !fi.IsDir():
		return &SocketError{Path: dir, Reason: "is not a directory"}
	case fi.Mode().Perm()&0o002 != 0 && fi.Mode()&fs.ModeSticky == 0:
		return &SocketError{Path: dir, Reason: "directory is writable by everybody", Hint: "chmod o-w " + dir}
	}
	return nil
}

const groupHint = "run the service as a member of that group, or change control.group in the configuration"

func lockSocket(path string) (*os.File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, &SocketError{Path: path, Reason: "open lock file", Err: err}
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &SocketError{Path: path, Reason: "lock is held", Err: ErrAlreadyRunning, Hint: "systemctl status pg-watchdog"}
		}
		return nil, &SocketError{Path: path, Reason: "lock", Err: err}
	}
	return lock, nil
}

func bindSocket(path string, gid int) (*net.UnixListener, error) {
	if err := checkReplaceable(path); err != nil {
		return nil, err
	}
	fresh := path + freshSuffix
	if err := checkReplaceable(fresh); err != nil {
		return nil, err
	}
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &SocketError{Path: fresh, Reason: "remove socket left by a crash", Err: err}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, &SocketError{Path: path, Reason: "bind", Err: err}
	}
	l.SetUnlinkOnClose(false) // its name is about to change
	if err := publishSocket(fresh, path, gid); err != nil {
		_ = l.Close()
		_ = os.Remove(fresh)
		return nil, err
	}
	return l, nil
}

func publishSocket(fresh, path string, gid int) error {
	if err := os.Chmod(fresh, socketMode); err != nil {
		return &SocketError{Path: path, Reason: "set mode", Err: err}
	}
	if gid >= 0 {
		if err := os.Chown(fresh, -1, gid); err != nil {
			return &SocketError{Path: path, Reason: "set group", Err: err, Hint: groupHint}
		}
	}
	if err := os.Rename(fresh, path); err != nil {
		return &SocketError{Path: path, Reason: "put socket in place", Err: err}
	}
	return nil
}

// checkReplaceable refuses a path that holds anything but a socket on which
// nobody listens.
func checkReplaceable(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &SocketError{Path: path, Reason: "read path", Err: err}
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return &SocketError{
			Path: path, Reason: "exists and is not a socket; it is left alone",
			Hint: "move it away, or choose another control.socket in the configuration",
		}
	}
	c, err := net.DialTimeout("unix", path, liveDial)
	if err == nil {
		_ = c.Close()
		return &SocketError{Path: path, Reason: "socket answers", Err: ErrAlreadyRunning, Hint: "systemctl status pg-watchdog"}
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return &SocketError{Path: path, Reason: "cannot tell whether another service listens", Err: err}
	}
	return nil
}

// operatorsGroup resolves a group name or number; empty means none (-1).
func operatorsGroup(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("look up operators' group %q: %w", name, err)
	}
	n, err := strconv.ParseUint(g.Gid, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("look up operators' group %q: %w", name, err)
	}
	return int(n), nil
}
