package control

import (
	"fmt"
	"net"
	"os/user"
	"slices"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// credentials are the kernel's word on who opened the other end of a unix
// socket: taken when it connected, not forgeable by it.
type credentials struct {
	uid, gid uint32
	pid      int32
	groups   []uint32 // supplementary
}

func readCredentials(c *net.UnixConn) (credentials, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return credentials{}, fmt.Errorf("read peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var groups []uint32
	var callErr error
	err = raw.Control(func(fd uintptr) {
		if cred, callErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); callErr == nil {
			groups, callErr = peerGroups(fd)
		}
	})
	if err == nil {
		err = callErr
	}
	if err != nil {
		return credentials{}, fmt.Errorf("read peer credentials: %w", err)
	}
	return credentials{uid: cred.Uid, gid: cred.Gid, pid: cred.Pid, groups: groups}, nil
}

// peerGroups reads SO_PEERGROUPS (Linux 4.13, socket(7)), for which x/sys has no
// wrapper. The group file would not do: it does not know of groups that systemd
// or a session gave the process, and may be asked over a network that is down.
func peerGroups(fd uintptr) ([]uint32, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(unsafe.SliceData(groups))), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4], nil
		case errno == unix.ERANGE && int(size/4) > len(groups):
			groups = make([]uint32, size/4)
		default:
			return nil, errno
		}
	}
}

// allowed reports whether these credentials may command the service: root, the
// service's own user, and the operators' group. The socket's mode says the same;
// it is asked again here because modes are changed by hand.
func (c credentials) allowed(own uint32, operators int) bool {
	if c.uid == 0 || c.uid == own {
		return true
	}
	if operators < 0 {
		return false
	}
	g := uint32(operators)
	return c.gid == g || slices.Contains(c.groups, g)
}

// localPeer is one connection of the local socket.
type localPeer struct {
	cred      credentials
	err       error
	own       uint32
	operators int // group id; negative when there is none
	name      func() string
}

func newLocalPeer(c net.Conn, own uint32, operators int) *localPeer {
	p := &localPeer{own: own, operators: operators}
	u, ok := c.(*net.UnixConn)
	if !ok {
		p.err = fmt.Errorf("read peer credentials: %T is not a unix socket", c)
		return p
	}
	p.cred, p.err = readCredentials(u)
	p.name = sync.OnceValue(func() string {
		if found, err := user.LookupId(strconv.FormatUint(uint64(p.cred.uid), 10)); err == nil {
			return found.Username
		}
		return "" // a uid without a name is shown as its number
	})
	return p
}

func (p *localPeer) identify() (Caller, error) {
	if p.err != nil {
		return Caller{}, p.err
	}
	if !p.cred.allowed(p.own, p.operators) {
		return Caller{}, fmt.Errorf("uid %d is neither root, nor the service's user, nor in the operators' group", p.cred.uid)
	}
	return Caller{UID: p.cred.uid, GID: p.cred.gid, PID: p.cred.pid, User: p.name()}, nil
}
