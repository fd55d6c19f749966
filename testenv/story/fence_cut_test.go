package story

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

// cutOff makes a node's service look for another one where nobody is, as if the
// path between the two were cut and no other.
func (s *site) cutOff(from, node string) {
	s.t.Helper()
	config := s.Node(from).Config
	text, err := os.ReadFile(config)
	if err != nil {
		s.t.Fatal(err)
	}
	cut := string(text)
	for _, port := range []string{
		fmt.Sprintf("control_port: %d", s.Node(node).Control),
		fmt.Sprintf("gossip_port: %d", s.Node(node).Gossip),
		fmt.Sprintf("postgres: {host: 127.0.0.1, port: %d}", s.Pair.Server(node).Port),
	} {
		if !strings.Contains(cut, port) {
			s.t.Fatalf("configuration of %s has no %q", from, port)
		}
		name := port[:strings.LastIndex(port, ":")]
		end := strings.TrimLeft(port[len(name)+1:], " 0123456789")
		cut = strings.Replace(cut, port, fmt.Sprintf("%s: %d%s", name, deadPort(s.t), end), 1)
	}
	if err := os.WriteFile(config, []byte(cut), 0o640); err != nil {
		s.t.Fatal(err)
	}
	if err := s.StopService(s.Node(from)); err != nil {
		s.t.Fatal(err)
	}
	s.startService(from)
}

// deadPort is a port on which nobody listens.
func deadPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// TestRule1And2_OnlyTheStandbyIsCutOff_WitnessSeesThePrimaryAlive has a standby
// that sees and hears nothing of a healthy primary, and an operator who switched
// off another machine. The witness knows better.
func TestRule1And2_OnlyTheStandbyIsCutOff_WitnessSeesThePrimaryAlive(t *testing.T) {
	t.Parallel()
	s := newSite(t, withWitness)
	l := s.ledger()
	s.stopWalsenders("db1", true)
	s.cutOff("db2", "db1")
	s.awaitCondition("db2", "PeerUnreachable")
	testenv.AwaitAcks(t, l, 50)
	promote := []string{"promote", "--confirm=db2", "--no-input", "--accept-data-loss", "unknown", "--i-have-powered-off", "db1"}
	if a := s.wants(5, "db2", promote...); !strings.Contains(a.out+a.err, "seen by wit") {
		t.Errorf("the refusal does not say who sees the primary: %s", a)
	}
	s.none("db2", runbooks.KindPromote)
	s.readOnly("db2")
	testenv.AwaitAcks(t, l, 50)
	if r := s.compare(l, "db1"); len(r.Tenures) != 1 {
		t.Errorf("who acknowledged: %+v, want db1 alone", r.Tenures)
	}
}
