package pgctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// handle holds on to one process, so that a signal never reaches another that
// was given its number later: a pidfd, checked against the start time after it
// was opened.
type handle struct {
	process pgdata.Process
	fd      *os.File // nil where the kernel has no pidfd (before Linux 5.10)
}

// waitTick is how often a process is looked at where there is no pidfd.
const waitTick = 10 * time.Millisecond

// hold takes hold of p; fs.ErrNotExist when it has ended.
func hold(p pgdata.Process) (*handle, error) {
	h := &handle{process: p}
	fd, err := unix.PidfdOpen(p.PID, unix.PIDFD_NONBLOCK)
	switch {
	case errors.Is(err, unix.ESRCH):
		return nil, fs.ErrNotExist
	case err == nil:
		h.fd = os.NewFile(uintptr(fd), "pidfd")
	case !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("open process %d: %w", p.PID, err)
	}
	if err := h.check(); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *handle) close() {
	if h.fd != nil {
		_ = h.fd.Close() // nothing was written to it
	}
}

// check gives fs.ErrNotExist when the number now names another process or a zombie.
func (h *handle) check() error {
	now, err := pgdata.ReadProcess(h.process.PID)
	if err == nil && (!now.Same(h.process) || now.Zombie) {
		return fs.ErrNotExist
	}
	return err
}

// signal sends one; a process that has ended is no error.
func (h *handle) signal(sig syscall.Signal) error {
	var err error
	if h.fd != nil {
		err = h.control(func(fd int) error { return unix.PidfdSendSignal(fd, sig, nil, 0) })
	} else if err = h.check(); err == nil {
		err = syscall.Kill(h.process.PID, sig)
	}
	if err == nil || errors.Is(err, syscall.ESRCH) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("signal process %d: %w", h.process.PID, err)
}

func (h *handle) control(f func(fd int) error) error {
	raw, err := h.fd.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// wait returns when the process has ended (a zombie has), or with the context's
// cause. A pidfd becomes readable at that moment, so nothing is polled.
func (h *handle) wait(ctx context.Context) error {
	if h.fd == nil {
		return h.watch(ctx)
	}
	raw, err := h.fd.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = h.fd.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = raw.Read(func(fd uintptr) bool { return readable(int(fd)) })
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}

// readable asks without waiting.
func readable(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1
}

// watch is wait without a pidfd.
func (h *handle) watch(ctx context.Context) error {
	tick := time.NewTicker(waitTick)
	defer tick.Stop()
	for {
		if err := h.check(); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
