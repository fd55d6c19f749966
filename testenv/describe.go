package testenv

import (
	"fmt"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// describe is a report in one line, for failing tests.
func describe(r demo.LedgerReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d ok, %d failed, %d unknown, longest outage %v from %v", r.Acked, r.Failed, r.Unknown,
		r.Outage.Round(time.Millisecond), r.OutageFrom.Round(time.Millisecond))
	for _, t := range r.Tenures {
		fmt.Fprintf(&b, "; %s %d rows %v to %v", t.Node, t.Acked, t.First.Round(time.Millisecond), t.Last.Round(time.Millisecond))
	}
	return b.String()
}
