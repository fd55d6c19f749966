package demo

import (
	"cmp"
	"slices"
	"time"
)

// LedgerRow is the key of one row.
type LedgerRow struct {
	Client int   `json:"client"`
	Seq    int64 `json:"seq"`
}

// Tenure is a time in which one node acknowledged.
type Tenure struct {
	Node  string        `json:"node"`
	First time.Duration `json:"first_ns"` // end of its first acknowledged insert
	Last  time.Duration `json:"last_ns"`
	Acked int           `json:"acked"`
}

// LedgerReport is the ledger's verdict.
type LedgerReport struct {
	Acked   int `json:"acked"`
	Failed  int `json:"failed"`
	Unknown int `json:"unknown"`
	// Outage is the longest time without an acknowledgement, between two of
	// them or from the last one to the end; it began at OutageFrom.
	Outage     time.Duration `json:"outage_ns"`
	OutageFrom time.Duration `json:"outage_from_ns"`
	// Tenures are the nodes that acknowledged, in order. A node that appears
	// twice acknowledged again after another one had.
	Tenures []Tenure `json:"tenures"`
	// Overlaps counts the tenures of a node that had already been succeeded:
	// without a planned way back it is the number of split brains.
	Overlaps int `json:"overlaps"`
	// Compared is true when the fields below were filled from a server.
	Compared bool        `json:"compared"`
	Lost     []LedgerRow `json:"lost,omitempty"`    // acknowledged, not there
	Phantom  []LedgerRow `json:"phantom,omitempty"` // refused, yet there
}

// Summarize judges entries; until is when the ledger was looked at.
func Summarize(entries []LedgerEntry, until time.Duration) LedgerReport {
	var r LedgerReport
	var acked []LedgerEntry
	for _, e := range entries {
		switch e.Result {
		case ResultAcked:
			r.Acked++
			acked = append(acked, e)
		case ResultFailed:
			r.Failed++
		default:
			r.Unknown++
		}
	}
	r.outage(acked, until)
	r.tenures(acked)
	return r
}

func (r *LedgerReport) outage(acked []LedgerEntry, until time.Duration) {
	if len(acked) == 0 {
		r.Outage = until
		return
	}
	ends := make([]time.Duration, 0, len(acked)+1)
	for _, e := range acked {
		ends = append(ends, e.End)
	}
	ends = append(ends, max(until, slices.Max(ends)))
	slices.Sort(ends)
	for i := 1; i < len(ends); i++ {
		if gap := ends[i] - ends[i-1]; gap > r.Outage {
			r.Outage, r.OutageFrom = gap, ends[i-1]
		}
	}
}

// tenures follows who acknowledged. The commit lies somewhere between Begin
// and End, so an insert that began before the present node's first
// acknowledgement had arrived may be older than it and proves nothing.
func (r *LedgerReport) tenures(acked []LedgerEntry) {
	slices.SortStableFunc(acked, func(a, b LedgerEntry) int { return cmp.Compare(a.Begin, b.Begin) })
	last := map[string]int{} // node to its newest tenure
	for _, e := range acked {
		current := len(r.Tenures) - 1
		if current >= 0 && r.Tenures[current].Node != e.Node {
			if earlier, known := last[e.Node]; known && e.Begin <= r.Tenures[current].First {
				r.Tenures[earlier].extend(e)
				continue
			}
		}
		if current < 0 || r.Tenures[current].Node != e.Node {
			if _, known := last[e.Node]; known {
				r.Overlaps++
			}
			r.Tenures = append(r.Tenures, Tenure{Node: e.Node, First: e.End})
			current = len(r.Tenures) - 1
			last[e.Node] = current
		}
		r.Tenures[current].extend(e)
	}
}

func (t *Tenure) extend(e LedgerEntry) {
	t.Acked++
	t.First = min(t.First, e.End)
	t.Last = max(t.Last, e.End)
}

// compare looks for rows whose fate on a server contradicts what was said.
func (r *LedgerReport) compare(entries []LedgerEntry, present map[LedgerRow]bool) {
	r.Compared = true
	for _, e := range entries {
		row := LedgerRow{Client: e.Client, Seq: e.Seq}
		switch {
		case e.Result == ResultAcked && !present[row]:
			r.Lost = append(r.Lost, row)
		case e.Result == ResultFailed && present[row]:
			r.Phantom = append(r.Phantom, row)
		}
	}
}
