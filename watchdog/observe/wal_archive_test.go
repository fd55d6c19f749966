package observe

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// wal names segments of one timeline, of 16 MiB.
func wal(timeline int, numbers ...int) []string {
	var out []string
	for _, n := range numbers {
		out = append(out, fmt.Sprintf("%08X%08X%08X", timeline, n/256, n%256))
	}
	return out
}

func TestHoles_AreFoundWithinAndBetweenTimelines(t *testing.T) {
	for name, c := range map[string]struct {
		names     []string
		gaps      int
		first     string
		histories []replication.Timeline
	}{
		"nothing":                    {nil, 0, "", nil},
		"one after another":          {wal(1, 5, 6, 7), 0, "", nil},
		"over the edge of a log":     {wal(1, 254, 255, 256, 257), 0, "", nil},
		"one is missing":             {wal(1, 5, 7, 8), 1, "000000010000000000000006", nil},
		"at the edge of a log":       {wal(1, 254, 256), 1, "0000000100000000000000FF", nil},
		"two places":                 {wal(1, 1, 3, 4, 9), 2, "000000010000000000000002", nil},
		"a promotion":                {append(wal(1, 5, 6), append(wal(2, 6, 7), "00000002.history", wal(1, 6)[0]+".partial")...), 0, "", nil},
		"a promotion after the end":  {append(wal(1, 5, 6), append(wal(2, 7, 8), "00000002.history")...), 0, "", nil},
		"lost with the old primary":  {append(wal(1, 5, 6), append(wal(2, 9), "00000002.history")...), 1, "000000010000000000000007", nil},
		"two branches of one":        {append(append(wal(1, 5, 6), wal(2, 6, 7, 8)...), append(wal(3, 6, 7), "00000002.history", "00000003.history")...), 0, "", nil},
		"history missing":            {append(wal(1, 5, 6), wal(2, 6)...), 0, "", []replication.Timeline{2}},
		"compressed and plain, once": {[]string{wal(1, 5)[0] + ".gz", wal(1, 5)[0], wal(1, 6)[0] + ".zst", "00000002.history.lz4"}, 0, "", nil},
		"strangers in the directory": {append(wal(1, 5, 6), "lost+found", wal(1, 99)[0]+".00000028.backup", wal(1, 99)[0]+".tmp", "000000010000000000000FFF"), 0, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			slices.Reverse(c.names) // a directory has no order
			got := holes(c.names, 16<<20)
			if got.Gaps != c.gaps || got.First != c.first || !slices.Equal(got.Histories, c.histories) {
				t.Errorf("%+v, want %d gaps, first %q, histories missing %v", got, c.gaps, c.first, c.histories)
			}
		})
	}
	if got := holes([]string{"000000010000000000000003", "000000010000000100000000"}, 1<<30); got.Gaps != 0 {
		t.Errorf("segments of 1 GiB, four to a log: %+v", got)
	}
}
