package story

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// TestStory_DamagedStateOrData_NeverStartsAsPrimary breaks what the boot gate
// reads, one thing after the other (rule 4). A healthy standby answers all the
// time: what is damaged here must not be made good by its word.
func TestStory_DamagedStateOrData_NeverStartsAsPrimary(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.neverTwoWritable()
	s.powerOff("db1")
	t.Run("state of a newer version", s.on((*site).newerState))
	t.Run("half-written state", s.on((*site).halfState))
	t.Run("one of the two state files is gone", s.on((*site).missingHalf))
	t.Run("backup_label without standby.signal", s.on((*site).backupLabel))
	t.Run("another system identifier", s.on((*site).foreignData))
	t.Run("empty data directory beside state", s.on((*site).emptyData))
	t.Run("put back as it was, it is primary again", s.on((*site).putBack))
	t.Run("an order stands, and the state directory cannot be written", s.on((*site).readOnlyState))
	t.Run("lost state beside adopted data: isolated, and a way out", s.on((*site).lostState))
}

func (s *site) stateFile(node, name string) string {
	return filepath.Join(s.Node(node).StateDir, name)
}

// damaged writes a state file, lets the gate and the service meet it, and puts
// it back. Neither may have touched it.
func (s *site) damaged(name, text string) {
	s.t.Helper()
	path := s.stateFile("db1", name)
	good := s.read(path)
	s.write(path, text)
	s.refuses("db1", name, "gate: refuse")
	s.boot("db1")
	refused := s.wants(5, "db1", "release", "db1", "--confirm=db1", "--no-input")
	if !strings.Contains(refused.out+refused.err, name) {
		s.t.Errorf("the refusal does not name the file: %s", refused)
	}
	// db2 may still tell of the file that was damaged before.
	for _, node := range []string{"db1", "db2"} {
		testenv.Wait(s.t, 30*time.Second, node+" names "+name, func() (bool, string) {
			c := s.awaitCondition(node, "StateUnreadable")
			return strings.Contains(c.Text, name), c.Text
		})
	}
	if err := s.StopService(s.Node("db1")); err != nil {
		s.t.Fatal(err)
	}
	if s.read(path) != text {
		s.t.Errorf("%s was overwritten", name)
	}
	s.write(path, good)
}

func (s *site) newerState() {
	s.damaged(state.FenceFile, strings.Replace(s.read(s.stateFile("db1", state.FenceFile)), `"v": 1`, `"v": 9`, 1))
}

func (s *site) halfState() {
	text := s.read(s.stateFile("db1", state.EpochFile))
	s.damaged(state.EpochFile, text[:len(text)/2])
}

func (s *site) missingHalf() {
	path := s.stateFile("db1", state.FenceFile)
	good := s.read(path)
	if err := os.Remove(path); err != nil {
		s.t.Fatal(err)
	}
	s.refuses("db1", state.FenceFile)
	s.write(path, good)
}

func (s *site) backupLabel() {
	path := s.dataFile("db1", "backup_label")
	s.write(path, "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n")
	s.refuses("db1", "backup_label", "standby.signal")
	if err := os.Remove(path); err != nil {
		s.t.Fatal(err)
	}
}

// aside moves db1's data directory away, lets make put another one there, and
// puts it back.
func (s *site) aside(makeOther func(dir string) error, words ...string) {
	s.t.Helper()
	dir := s.Pair.Server("db1").DataDir
	if err := os.Rename(dir, dir+".aside"); err != nil {
		s.t.Fatal(err)
	}
	if err := makeOther(dir); err != nil {
		s.t.Fatal(err)
	}
	s.refuses("db1", words...)
	if err := os.RemoveAll(dir); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(dir+".aside", dir); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) foreignData() {
	s.aside(func(dir string) error {
		binaries, err := demo.FindBinaries(limited(s.t))
		if err != nil {
			return err
		}
		return exec.CommandContext(limited(s.t), binaries.Path("initdb"), "--no-sync", "-A", "trust", "-D", dir).Run()
	}, "system identifier")
}

func (s *site) emptyData() {
	s.aside(func(dir string) error { return os.Mkdir(dir, 0o700) }, "is empty", "initdb")
	dir := s.Pair.Server("db1").DataDir
	if entries, err := os.ReadDir(dir); err != nil || len(entries) == 0 {
		s.t.Fatalf("data directory was not put back: %v", err)
	}
}

func (s *site) putBack() {
	s.boot("db1")
	s.gate("db1", fence.GatePrimary)
	s.awaitStreams("db1", "db2")
	s.awaitState("db1", "HEALTHY")
}

// readOnlyState: a disk that takes no more writes does not make an order void.
func (s *site) readOnlyState() {
	s.powerOff("db1")
	store := state.Open(s.Node("db1").StateDir, "db1")
	own := s.durable("db1")
	order := fence.Order{Operation: "promote-TESTS", Node: "db1", Issuer: "db2", By: "test", IssuedAt: time.Now(),
		Epoch: fence.Epoch{Number: own.Epoch.Number + 1, ID: "0011223344556677", Primary: "db2"}}
	if err := store.Apply(fence.Notice{Order: &order}); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chmod(s.Node("db1").StateDir, 0o550); err != nil {
		s.t.Fatal(err)
	}
	out := s.gate("db1", fence.GateIsolated)
	if err := os.Chmod(s.Node("db1").StateDir, 0o750); err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(out, "promote-TESTS") || !strings.Contains(out, "could not be written") {
		s.t.Errorf("the gate does not say what stands and what failed: %s", out)
	}
	s.wantsRecovery("db1", true)
	if s.durable("db1").Marker != nil {
		s.t.Error("the directory was writable: nothing was tested")
	}
	s.kill("db1")
	s.gate("db1", fence.GateIsolated) // and now it can be written
	if m := s.durable("db1").Marker; m == nil || m.Operation != order.Operation {
		s.t.Errorf("marker after an obeyed order: %+v", m)
	}
}

func (s *site) lostState() {
	s.kill("db1")
	was := s.durable("db2").Epoch
	dir := s.Node("db1").StateDir
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.Remove(s.dataFile("db1", "standby.signal")); err != nil {
		s.t.Fatal(err) // as if it had been primary until now
	}
	s.boot("db1")
	if out := s.gate("db1", fence.GateIsolated); !strings.Contains(out, "the state beside it is gone") {
		s.t.Errorf("the gate does not say what is lost: %s", out)
	}
	s.wantsRecovery("db1", true)
	s.awaitState("db1", "CRITICAL")
	// Without a state every epoch is higher than the own one: the other node's
	// word is no proof, so that the plan says that it will be sealed.
	if p := s.plan("db1", "release", "db1"); p.Refusal != nil || p.Fence.Node != "db2" || p.Fence.Grade != fence.GradeSealed {
		s.t.Errorf("plan of a release with lost state: %+v", p)
	}
	s.wants(0, "db1", "release", "db1", "--confirm=db1", "--no-input", "--reason", "state lost")
	s.wantsRecovery("db1", false)
	now := s.durable("db1")
	if now.Epoch.Number <= was.Number || !s.durable("db2").Epoch.Same(now.Epoch) || now.SystemID == 0 {
		s.t.Errorf("state after release: %+v, db2 knew %+v", now, was)
	}
	s.awaitFence("db1", "db2", "marker")
	s.powerOff("db1")
	s.boot("db1")
	s.gate("db1", fence.GatePrimary) // a node fenced under this epoch is proof enough
	s.gate("db2", fence.GateIsolated)
}
