package watchdog

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// A peer that sends an absurd value does so with every report.
func TestOnReport_AbsurdOnes_AllCountedSaidOnceUntilAGoodOne(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	s := &Service{log: zap.New(core), unfit: map[string]string{}, notified: map[string][]string{}, now: time.Now,
		board: view.NewBoard("c", "db1", []view.NodeInfo{{Name: "db1"}, {Name: "db2"}}, time.Now())}
	good, err := view.Encode(view.Report{Node: "db2", Boot: "b", Seq: 1})
	if err != nil {
		t.Fatal(err)
	}
	absurd := func(age string) []byte {
		return []byte(`{"v":1,"node":"db2","boot":"b","seq":2,"servers":[{"node":"db2","age":` + age + `}]}`)
	}
	for i, c := range []struct {
		report []byte
		said   int
	}{
		{absurd("-5"), 1}, {absurd("-6"), 1}, {[]byte("none"), 2}, {good, 2}, {absurd("-7"), 3},
		{[]byte(`{"v":1,"node":"db1","boot":"b","seq":3}`), 4}, // in our own name
	} {
		s.onReport("db2", c.report)
		if logs.Len() != c.said {
			t.Errorf("after report %d: said %d times, want %d: %v", i, logs.Len(), c.said, logs.All())
		}
	}
	if n := s.rejected.Load(); n != 5 {
		t.Errorf("counted %d, want 5", n)
	}
}
