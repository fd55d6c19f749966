package testenv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// noting is a testing.TB that keeps what Errorf said.
type noting struct {
	testing.TB
	said []string
}

func (n *noting) Helper()           {}
func (n *noting) Error(args ...any) { n.said = append(n.said, fmt.Sprint(args...)) }
func (n *noting) Errorf(form string, args ...any) {
	n.said = append(n.said, fmt.Sprintf(form, args...))
}

func TestCheckLedger_Verdicts(t *testing.T) {
	lost := []demo.LedgerRow{{Client: 1, Seq: 7}, {Client: 2, Seq: 3}}
	tests := []struct {
		name    string
		report  demo.LedgerReport
		allowed Allowed
		says    string // empty: passes
	}{
		{"nothing acknowledged proves nothing", demo.LedgerReport{}, Allowed{}, "proves nothing"},
		{"all well", demo.LedgerReport{Acked: 9}, Allowed{}, ""},
		{"two nodes", demo.LedgerReport{Acked: 9, Overlaps: 1}, Allowed{}, "two nodes acknowledged"},
		{"a planned way back", demo.LedgerReport{Acked: 9, Overlaps: 1}, Allowed{WaysBack: 1}, ""},
		{"lost more than said", demo.LedgerReport{Acked: 9, Lost: lost}, Allowed{Lost: 1}, "2 acknowledged rows lost, at most 1"},
		{"lost what was said", demo.LedgerReport{Acked: 9, Lost: lost}, Allowed{Lost: 2}, ""},
		{"refused, yet there", demo.LedgerReport{Acked: 9, Phantom: lost}, Allowed{Lost: 9}, "2 refused rows are there"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := &noting{TB: t}
			judge(n, tt.report, tt.allowed)
			said := strings.Join(n.said, "; ")
			if (tt.says == "") != (said == "") || !strings.Contains(said, tt.says) {
				t.Errorf("said %q, want %q", said, tt.says)
			}
		})
	}
}

func TestFaults_FrozenServer_GoesOnWhenThawed(t *testing.T) {
	p := NewPair(t)
	db1 := p.Servers[0]
	StopGroup(t, db1)
	if !db1.Running() {
		t.Error("a frozen server counts as gone")
	}
	Continue(t, db1)
	if got, err := db1.Ask(t.Context(), "SELECT 1"); err != nil || got != "1" {
		t.Errorf("after the thaw: %q, %v; want 1", got, err)
	}
	StopPostmaster(t, db1) // thawed by the test's end, or Close would hang on it
}
