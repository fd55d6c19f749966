package story

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/audit"
)

// findings asks a node's doctor and gives NAME@NODE of all that is not well.
// How full and how well timed the machine of the tests is, is not its matter.
func (s *site) findings(node string) (fails, unknown []string) {
	s.t.Helper()
	a := s.watchdog(node, "doctor", "--json")
	var d struct {
		audit.Document
		Exit int `json:"exit"`
	}
	if err := json.Unmarshal([]byte(a.out), &d); err != nil || d.Exit != a.exit || d.V != 1 || len(d.Checks) < 40 {
		s.t.Fatalf("doctor on %s: %v, %s", node, err, a)
	}
	for _, c := range d.Checks {
		key := c.Name + "@" + c.Node
		switch {
		case c.Group == audit.GroupHost && c.Name != "state_directory":
		case c.Level == audit.Fail:
			fails = append(fails, key)
		case c.Level == audit.Unknown:
			unknown = append(unknown, key)
		}
	}
	return fails, unknown
}

// awaitFindings waits until exactly these checks fail.
func (s *site) awaitFindings(node string, want ...string) {
	s.t.Helper()
	testenv.Wait(s.t, 30*time.Second, "findings of the doctor on "+node, func() (bool, string) {
		fails, unknown := s.findings(node)
		return slices.Equal(fails, want) && len(unknown) == 0, fmt.Sprint(fails, unknown)
	})
}

// TestStory_Doctor_FindsOnBothMachinesWhatAFailoverNeeds asks either node and
// gets the same answer, then takes away what a failover would need, piece by
// piece, and puts it back.
func TestStory_Doctor_FindsOnBothMachinesWhatAFailoverNeeds(t *testing.T) {
	t.Parallel()
	power := newPowerSwitch(t)
	s := newSite(t, power.on("db1"), synchronous, withWitness)
	power.attach(s, "db1")
	s.awaitState("db1", "HEALTHY")
	s.awaitFindings("db1")
	s.awaitFindings("db2")
	s.awaitFindings("wit")
	s.wants(0, "db1", "check")

	power.remove()
	s.awaitFindings("db1", "fence_status_fence_story@db1")
	power.install()
	power.SetMode(testenv.ShamHang)
	s.awaitFindings("db1", "fence_status_fence_story@db1")
	power.SetMode(testenv.ShamOK)
	secret := filepath.Join(filepath.Dir(s.Node("db1").Config), "smtp.password")
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	s.awaitFindings("db2", "secrets@db1")
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	s.awaitFindings("db2")

	s.kill("db1")
	c := s.awaitCondition("db2", "NoPrimary")
	if a := s.wants(2, "db2", "check"); !strings.Contains(a.out, "DEMO CRITICAL - NoPrimary: ") {
		t.Error(a)
	}
	for _, about := range []string{"NoPrimary", c.Incident} {
		if a := s.wants(0, "db2", "why", about); !strings.Contains(a.out, "NoPrimary pair") || !strings.Contains(a.out, "refuted by   one answer of a server out of recovery") {
			t.Error(a)
		}
	}
	if _, unknown := s.findings("db2"); !slices.Contains(unknown, "postgres_read@db1") {
		t.Errorf("a server that is down was read: %v", unknown)
	}
	s.killService("db1")
	if fails, unknown := s.findings("db2"); !slices.Contains(fails, "service_answers@db1") || !slices.Contains(unknown, "postgres_read@db1") {
		t.Errorf("a service that is dead was heard: %v, %v", fails, unknown)
	}
	if a := s.wants(4, "db1", "doctor"); !strings.Contains(a.out, "the service could not be asked") {
		t.Error(a)
	}
	s.wants(3, "db1", "check")
}
