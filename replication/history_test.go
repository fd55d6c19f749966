package replication_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gestionale-fullstack/watchdog/replication"
)

func TestParseHistory_AsPostgresWrites(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []replication.HistoryEntry
	}{
		"empty":    {"", nil},
		"one":      {"1\t0/17433908\tno recovery target specified\n", []replication.HistoryEntry{{1, 0x17433908, "no recovery target specified"}}},
		"gap":      {"1\t0/3000000\ta\n5\t0/5000000\tb\n", []replication.HistoryEntry{{1, 0x3000000, "a"}, {5, 0x5000000, "b"}}},
		"comments": {"# kept\n\n1\t0/3000000\ta\n \t\n# also\n2\t0/3000000\tb", []replication.HistoryEntry{{1, 0x3000000, "a"}, {2, 0x3000000, "b"}}},
		"no words": {"1\t0/3000000\n", []replication.HistoryEntry{{1, 0x3000000, ""}}},
		"tab in reason": {"1\t0/3000000\tat restore point \"a\tb\"\n",
			[]replication.HistoryEntry{{1, 0x3000000, "at restore point \"a\tb\""}}},
		"huge": {"4294967294\tFFFFFFFF/FFFFFFFF\tx\n", []replication.HistoryEntry{{4294967294, 0xFFFFFFFF_FFFFFFFF, "x"}}},
	} {
		got, err := replication.ParseHistory(c.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(c.want, got.Parents); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestParseHistory_Damaged_Refuses(t *testing.T) {
	for name, text := range map[string]string{
		"carriage return":   "1\t0/3000000\ta\r\n",
		"NUL":               "1\t0/3000000\ta\x00\n",
		"half a line":       "1\n",
		"spaces":            "1 0/3000000 a\n",
		"timeline 0":        "0\t0/3000000\ta\n",
		"signed":            "+1\t0/3000000\ta\n",
		"leading zero":      "01\t0/3000000\ta\n",
		"timeline too big":  "4294967296\t0/3000000\ta\n",
		"LSN garbage":       "1\t0/3000000zz\ta\n",
		"LSN overflow":      "1\t1/1FFFFFFFF\ta\n",
		"LSN zero":          "1\t0/0\ta\n",
		"order":             "2\t0/3000000\ta\n1\t0/4000000\tb\n",
		"twice":             "1\t0/3000000\ta\n1\t0/4000000\tb\n",
		"LSN goes back":     "1\t0/4000000\ta\n2\t0/3000000\tb\n",
		"line in a reason":  "1\t0/4000000\tat restore point \"a\nb\"\n",
		"comment with lead": " # x\n",
		"too long":          strings.Repeat("#\n", 1<<20),
	} {
		if got, err := replication.ParseHistory(text); err == nil {
			t.Errorf("%s accepted: %v", name, got)
		}
	}
}

func TestHistoryOf_ImpossibleTimeline_Refuses(t *testing.T) {
	one, err := replication.ParseHistory("1\t0/3000000\ta\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		h  replication.History
		tl replication.Timeline
		ok bool
	}{{one, 2, true}, {one, 9, true}, {one, 1, false}, {one, 0, false}, {replication.History{}, 1, true}, {replication.History{}, 2, false}} {
		if _, err := c.h.Of(c.tl); (err == nil) != c.ok {
			t.Errorf("%v of %d: %v", c.h, c.tl, err)
		}
	}
}

func FuzzParseHistory(f *testing.F) {
	for _, s := range []string{"", "1\t0/3000000\ta\n", "# x\n\n1\t0/1\n3\t0/2\tb\tc\n", "1\t0/4\ta\r\n", "2\t0/1\t\n1\t0/1\t\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := replication.ParseHistory(s)
		if err != nil {
			return
		}
		for i := 1; i < len(h.Parents); i++ {
			if a, b := h.Parents[i-1], h.Parents[i]; a.Timeline >= b.Timeline || a.SwitchPoint > b.SwitchPoint {
				t.Errorf("out of order: %v, %v", a, b)
			}
		}
		back, err := replication.ParseHistory(h.String())
		if err != nil || !cmp.Equal(back, h) {
			t.Errorf("%q came back as %v, %v", h.String(), back, err)
		}
	})
}
