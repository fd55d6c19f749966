package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a child of ours, followed until it ends.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended, once done is closed
}

// launch starts a child in a session of its own. Unless detached it dies with
// us: the kernel's death signal hangs on the thread that started it, which is
// kept for as long as the child lives.
func launch(cmd *exec.Cmd, detached bool, enter func() error) (*process, error) {
	cmd.SysProcAttr.Setsid = true
	if !detached {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		defer close(p.done)
		leave := keepThread(enter)
		defer leave()
		err := startIn(enter, cmd)
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, err
	}
	return p, nil
}

// StartServices starts the service of every node that does not run.
func (s *Site) StartServices(ctx context.Context) error {
	for _, n := range s.Nodes {
		if err := s.StartService(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// StartService starts one node's service and waits until it answers.
func (s *Site) StartService(ctx context.Context, n *SiteNode, env ...string) error {
	log, err := os.OpenFile(n.LogFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open service log: %w", err)
	}
	defer func() { _ = log.Close() }()
	if err := s.Pair.owner.give(n.LogFile); err != nil {
		return err
	}
	cmd := s.Pair.owner.Command(context.Background(), s.Binary, "run", "--config", n.Config)
	cmd.Env = append(append(cmd.Env, s.options.Env...), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if n.process, err = launch(cmd, s.options.Pair.Detached, s.Pair.network.entry(n.Name)); err != nil {
		return fmt.Errorf("start service of %s: %w", n.Name, err)
	}
	n.ServicePid = cmd.Process.Pid
	if err := s.await(ctx, "the service of "+n.Name+" answers", func() (bool, string) {
		_, errs, exit := s.Run(ctx, n, "status", "--json")
		return exit == 0 || n.over(), errs
	}); err != nil {
		return err
	}
	if n.over() {
		return fmt.Errorf("the service of %s ended: %s", n.Name, n.Log(2048))
	}
	return nil
}

// over says whether the service that we started has ended.
func (n *SiteNode) over() bool {
	if n.process == nil {
		return false
	}
	select {
	case <-n.process.done:
		return true
	default:
		return false
	}
}

// StopService ends a service as systemd would (SIGTERM), and by SIGKILL after 10 s.
func (s *Site) StopService(n *SiteNode) error { return s.endService(n, syscall.SIGTERM) }

// KillService ends a service by SIGKILL, as a power loss would.
func (s *Site) KillService(n *SiteNode) error { return s.endService(n, syscall.SIGKILL) }

func (s *Site) endService(n *SiteNode, sig syscall.Signal) error {
	if n.ServicePid == 0 || n.over() {
		return nil
	}
	if n.process == nil && !s.isOurs(n.ServicePid, "run") {
		return nil
	}
	return s.end(n.ServicePid, n.process, sig)
}

// end signals a process and waits for its end.
func (s *Site) end(pid int, p *process, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		return fmt.Errorf("signal %d: %w", pid, err)
	}
	gone := func() bool {
		if p == nil {
			return ended(pid)
		}
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	}
	until := time.Now().Add(10 * time.Second)
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for !gone() {
		if time.Now().After(until) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			until = time.Now().Add(time.Hour)
		}
		<-t.C
	}
	return nil
}

// isOurs makes sure that a remembered pid is still the program of this site.
func (s *Site) isOurs(pid int, verb string) bool {
	b, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "cmdline"))
	if err != nil {
		return false
	}
	args := strings.Split(string(b), "\x00")
	return len(args) > 1 && args[0] == s.Binary && strings.Contains(string(b), verb)
}

// StartThroughGate starts a node's server as its unit would: the boot gate
// decides, then pg_ctl runs in its place.
func (s *Site) StartThroughGate(ctx context.Context, n *SiteNode) (output string, err error) {
	server := s.Pair.Server(n.Name)
	cmd := s.Pair.owner.Command(ctx, s.Binary, "gate", "--config", n.Config, "--exec", "--",
		server.binaries.Path("pg_ctl"), "start", "-w", "-D", server.DataDir, "-l", server.LogFile)
	cmd.SysProcAttr.Setsid = true
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := launch(cmd, true, server.enter)
	if err != nil {
		return "", err
	}
	<-p.done
	return out.String(), p.err
}

// Log gives the end of a service's log.
func (n *SiteNode) Log(max int) string {
	b, err := os.ReadFile(n.LogFile)
	if err != nil {
		return err.Error()
	}
	if len(b) > max {
		b = b[len(b)-max:]
	}
	return string(b)
}
