package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// child follows a postmaster that this process started, so that it is reaped.
type child struct {
	mu   sync.Mutex
	done chan struct{} // closed when the newest one has been reaped; nil before the first
}

func (c *child) follow(done chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = done
}

func (c *child) newest() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

func (c *child) over() bool {
	done := c.newest()
	if done == nil {
		return false
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// join waits for the reaper's end; it is called when no process is left.
func (c *child) join() {
	if done := c.newest(); done != nil {
		<-done
	}
}

// spawn starts the postmaster as a child in a session of its own, so that an
// interrupt typed at the terminal does not reach it.
//
// Unless detached it dies with us: the kernel sends it SIGQUIT (immediate
// shutdown) when the *thread* that started it ends, hence a thread is kept for
// as long as the server runs.
func (s *Server) spawn(args []string) error {
	log, err := os.OpenFile(s.LogFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open server log: %w", err)
	}
	defer log.Close()
	if err := s.owner.give(s.LogFile); err != nil {
		return err
	}
	cmd := s.owner.Command(context.Background(), s.binaries.Path("postgres"), append([]string{"-D", s.DataDir}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr.Setsid = true
	if !s.detached {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	}
	started := make(chan error)
	done := make(chan struct{})
	go func() {
		defer close(done)
		leave := keepThread(s.enter)
		defer leave()
		err := startIn(s.enter, cmd)
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended stands in its log
		}
	}()
	if err := <-started; err != nil {
		<-done
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	s.child.follow(done)
	return nil
}

// dropSegment removes the System V segment that a killed postmaster leaves
// behind: a few bytes, but the kernel has room for 4096 of them.
func (s *Server) dropSegment() error {
	const segmentLine = 6 // LOCK_FILE_LINE_SHMEM_KEY: key and id
	lines := s.pidFile()
	if len(lines) <= segmentLine {
		return nil
	}
	fields := strings.Fields(lines[segmentLine])
	if len(fields) != 2 {
		return nil
	}
	id, err := strconv.Atoi(fields[1])
	if err != nil {
		return fmt.Errorf("read segment id of %s: %w", s.Name, err)
	}
	var desc unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(id, unix.IPC_STAT, &desc); err != nil || desc.Nattch > 0 || int(desc.Perm.Cuid) != s.owner.UID {
		return nil // gone, or the number belongs to somebody else by now
	}
	if _, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EIDRM) {
		return fmt.Errorf("remove shared memory of %s: %w", s.Name, err)
	}
	return nil
}

// wipe ends every process of the server and removes what it left in the kernel.
func (s *Server) wipe(ctx context.Context) error {
	if err := s.Kill(ctx); err != nil {
		return err
	}
	return s.dropSegment()
}
