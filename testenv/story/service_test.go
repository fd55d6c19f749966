package story

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// TestStory_Services_MailOnceStopReloadAndNotify lets an incident be told, then
// treats the service as its unit does.
func TestStory_Services_MailOnceStopReloadAndNotify(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	t.Run("one mail per incident: NoPrimary explains the rest", s.on((*site).oneIncident))
	t.Run("the sender's service dies: the other takes over", s.on((*site).takeOver))
	t.Run("stop is announced: nobody is paged", s.on((*site).plannedStop))
	t.Run("a peer that hangs does not hold up the stop", s.on((*site).stopBesideHungPeer))
	t.Run("reload is all or nothing", s.on((*site).reloadAllOrNothing))
	t.Run("reload applies holds at once", s.on((*site).reloadHolds))
	t.Run("systemd is told", s.on((*site).systemdTold))
}

func (s *site) plannedStop() {
	before := len(s.mails(0))
	s.stopInTime("db2")
	if log := s.Node("db2").Log(4000); !strings.Contains(log, "service stopped") || strings.Contains(log, "announce planned stop") {
		s.t.Errorf("the service did not stop by itself, or not in words:\n%s", log)
	}
	var c view.OpenCondition
	testenv.Wait(s.t, 30*time.Second, "db1 misses a node that said farewell", func() (bool, string) {
		st, err := s.status("db1")
		if err != nil {
			return false, err.Error()
		}
		i := slices.IndexFunc(st.Open, func(c view.OpenCondition) bool { return c.Code == view.PeerUnreachable })
		j := slices.IndexFunc(st.Nodes, func(n view.NodeStatus) bool { return n.Node == "db2" && n.Planned && n.Heard > 6*time.Second })
		if i >= 0 {
			c = st.Open[i]
		}
		// Beyond the silence and the hold that page for a node that just vanished.
		return i >= 0 && j >= 0 && c.For > 2*time.Second, st.State + ": " + st.Summary
	})
	if c.Severity != "warning" || c.Firing || !strings.Contains(c.Text, "on purpose") {
		s.t.Errorf("a planned stop is told as %+v", c)
	}
	if mails := s.mails(before); len(mails) > 0 {
		s.t.Errorf("mail about a planned stop:\n%s", subjects(mails))
	}
	s.boot("db2")
	s.awaitState("db1", "HEALTHY")
}

// stopLimit is what a service may take from SIGTERM to its end.
const stopLimit = 5 * time.Second

func (s *site) stopInTime(node string) {
	s.t.Helper()
	began := time.Now()
	if err := s.StopService(s.Node(node)); err != nil {
		s.t.Fatal(err)
	}
	took := time.Since(began).Round(time.Millisecond)
	s.t.Logf("SIGTERM to end: %s", took)
	if took >= stopLimit {
		s.t.Errorf("the service of %s took %s to stop, want less than %s", node, took, stopLimit)
	}
}

// stopBesideHungPeer: the farewell goes to a service that takes connections and
// reads nothing.
func (s *site) stopBesideHungPeer() {
	pid := s.Node("db1").ServicePid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	s.stopInTime("db2")
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		s.t.Fatal(err)
	}
	s.boot("db2")
	s.awaitState("db1", "HEALTHY")
}

// reconfigure writes a node's file and sends SIGHUP; the log has to say word.
func (s *site) reconfigure(node, text, word string) {
	s.t.Helper()
	n := s.Node(node)
	said := strings.Count(n.Log(1<<20), word)
	s.write(n.Config, text)
	if err := syscall.Kill(n.ServicePid, syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
	testenv.Wait(s.t, 20*time.Second, "the log says "+word, func() (bool, string) {
		log := n.Log(1 << 20)
		return strings.Count(log, word) > said, log[max(0, len(log)-1500):]
	})
}

const (
	reloaded    = "configuration reloaded"
	notReloaded = "configuration not reloaded, the old one stays"
)

// validFor tells how long plans are valid now: a setting that a reload applies.
func (s *site) validFor() int {
	s.t.Helper()
	return int(s.plan("db2", "promote").ValidFor)
}

func (s *site) reloadAllOrNothing() {
	good := s.read(s.Node("db2").Config)
	s.reconfigure("db2", good+"plan: {valid_for: 77s}\nloss: {allowed: 32KiB}\n", reloaded)
	p := s.plan("db2", "promote")
	if p.ValidFor != 77 || p.Loss.AllowedBytes != 32<<10 {
		s.t.Fatalf("a good file is not applied: valid for %d s, %d bytes allowed", p.ValidFor, p.Loss.AllowedBytes)
	}
	for what, text := range map[string]string{
		"unknown key":     good + "plan: {valid_for: 99s}\nplams: {}\n",
		"needs a restart": good + "plan: {valid_for: 99s}\napp_does_not: matter\n",
		"half a file":     good[:len(good)/2],
		"empty":           "",
	} {
		s.reconfigure("db2", text, notReloaded)
		if n := s.validFor(); n != 77 {
			s.t.Errorf("%s: plans are valid for %d s, the old file said 77", what, n)
		}
	}
	restart := strings.Replace(good, "hold_down: 1s", "hold_down: 9s", 1)
	s.reconfigure("db2", restart+"plan: {valid_for: 99s}\n", notReloaded)
	if log := s.Node("db2").Log(3000); !strings.Contains(log, "hold_down") || s.validFor() != 77 || restart == good {
		s.t.Errorf("a change that needs a restart is applied in part or not named:\n%s", log)
	}
	s.reconfigure("db2", good, reloaded)
	if n := s.validFor(); n == 77 || n == 99 {
		s.t.Errorf("plans are valid for %d s after the default was put back", n)
	}
}

func (s *site) reloadHolds() {
	good := s.read(s.Node("db2").Config)
	long := strings.Replace(good, "replication_down: 1s", "replication_down: 1h", 1)
	if long == good {
		s.t.Fatal("the hold to change is not in the file")
	}
	s.reconfigure("db2", long, reloaded)
	testenv.Wait(s.t, 20*time.Second, "db1 sees another configuration on db2", func() (bool, string) {
		st, err := s.status("db1")
		if err != nil {
			return false, err.Error()
		}
		return slices.ContainsFunc(st.Open, func(c view.OpenCondition) bool { return c.Code == view.WatchdogConfigDrift }), st.Summary
	})
	s.kill("db2")
	testenv.Wait(s.t, 30*time.Second, "ReplicationDown is held", func() (bool, string) {
		st, err := s.status("db2")
		if err != nil {
			return false, err.Error()
		}
		for _, c := range st.Open {
			if c.Code == view.ReplicationDown && c.Firing {
				s.t.Fatal("fired within a hold of an hour")
			}
			if c.Code == view.ReplicationDown && c.For > 2*time.Second {
				return true, ""
			}
		}
		return false, st.Summary
	})
	s.reconfigure("db2", good, reloaded)
	s.awaitCondition("db2", view.ReplicationDown)
	s.gate("db2", fence.GateStandby)
	s.awaitState("db2", "HEALTHY")
}

// notifySocket is what systemd listens on.
type notifySocket struct {
	conn *net.UnixConn
	mu   sync.Mutex
	got  []string
}

func (s *site) listenNotify() (*notifySocket, string) {
	s.t.Helper()
	path := filepath.Join(s.Dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		s.t.Fatal(err)
	}
	n := &notifySocket{conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.read()
	}()
	s.t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return n, path
}

func (n *notifySocket) read() {
	b := make([]byte, 64<<10)
	for {
		k, err := n.conn.Read(b)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
			return
		}
		n.mu.Lock()
		n.got = append(n.got, string(b[:k]))
		n.mu.Unlock()
	}
}

func (n *notifySocket) messages() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.got)
}

func (s *site) systemdTold() {
	socket, path := s.listenNotify()
	if err := s.StopService(s.Node("db2")); err != nil {
		s.t.Fatal(err)
	}
	s.boot("db2", "NOTIFY_SOCKET="+path)
	testenv.Wait(s.t, 20*time.Second, "READY, then a beat with the status", func() (bool, string) {
		all := strings.Join(socket.messages(), "|")
		ready := strings.Index(all, "READY=1")
		return ready >= 0 && strings.Count(all[ready:], "WATCHDOG=1") > 2 && strings.Contains(all[ready:], "STATUS=HEALTHY"), all
	})
	if n := strings.Count(strings.Join(socket.messages(), "|"), "READY=1"); n != 1 {
		s.t.Errorf("READY was said %d times", n)
	}
	if err := s.StopService(s.Node("db2")); err != nil {
		s.t.Fatal(err)
	}
	testenv.Wait(s.t, 10*time.Second, "STOPPING", func() (bool, string) {
		all := socket.messages()
		return len(all) > 0 && strings.Contains(all[len(all)-1], "STOPPING=1"), strings.Join(all[max(0, len(all)-2):], "|")
	})
	s.boot("db2")
}
