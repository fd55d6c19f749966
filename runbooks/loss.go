package runbooks

import (
	"fmt"
	"strings"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// assessLoss gives the three figures of DESIGN rule 8 for promoting standby in
// place of primary.
func assessLoss(f Facts, primary, standby NodeFacts) Loss {
	l := Loss{AllowedBytes: f.Allowed, SampleAgeMS: -1, Basis: "the end of WAL on " + primary.Node + " is not known yet"}
	l.Standby = received(standby)
	if standby.Status != nil {
		l.Timeline = standby.Status.Timeline
	}
	last, seen := primary.Last()
	if seen && last.Role == replication.RolePrimary {
		l.Primary = last.Position
		l.SampleAgeMS = last.Answered.Milliseconds()
	}
	if l.Standby == 0 { // counted from nowhere, every figure would be wrong
		l.Basis = "how far " + standby.Node + " holds WAL is not known"
		return l
	}
	if l.SampleAgeMS >= 0 {
		l.AtLeastBytes = l.Primary.Since(l.Standby)
		if f.RateBytes >= 0 {
			e := l.AtLeastBytes + uint64(f.RateBytes*last.Answered.Seconds())
			l.EstimateBytes = &e
		}
	}
	if f.Unsealed != nil && !otherBranch(l, f.Unsealed.Timeline) {
		l.Unsealed = f.Unsealed.LSN
		if n := l.Unsealed.Since(l.Standby); n > l.AtLeastBytes {
			l.AtLeastBytes = n
		}
		l.Basis = fmt.Sprintf("%s is down, and its disk ends at %s (read before the seal: not yet proof)", primary.Node, l.Unsealed)
	}
	if e := l.EstimateBytes; e != nil && *e < l.AtLeastBytes {
		*e = l.AtLeastBytes // the disk shows more than the rate promised
	}
	if why, ok := synchronous(primary, standby); ok {
		zero := uint64(0)
		l.AtMostBytes, l.AtLeastBytes, l.EstimateBytes = &zero, 0, nil
		l.Basis = why
	}
	return l
}

// otherBranch says that an end of WAL lies on another timeline than the standby:
// then the two positions say nothing about each other (DESIGN rule 13).
func otherBranch(l Loss, tl replication.Timeline) bool {
	return tl != 0 && l.Timeline != 0 && tl != l.Timeline
}

// received is the standby's position: the greater of receive and replay,
// because the receive position falls back to a segment start after a restart
// (PostgreSQL: pg_last_wal_receive_lsn).
func received(n NodeFacts) replication.LSN {
	var at replication.LSN
	if n.Status != nil {
		at = max(n.Status.Receive, n.Status.Replay)
	}
	return at
}

// needed is the figure that the operator has to accept; known is false when it
// is unknown, which counts as more than any limit.
func (l Loss) needed() (bytes uint64, known bool) {
	switch {
	case l.AtMostBytes != nil:
		return *l.AtMostBytes, true
	case l.Unsealed != 0:
		return l.Unsealed.Since(l.Standby), true
	}
	return 0, false
}

// judgeLoss says whether the request accepts what the plan may cost. readable
// is true when the end of WAL will be read after the seal: then a size may be
// accepted beforehand and is held against what is found.
func judgeLoss(l Loss, r Request, readable bool) Gate {
	g := Gate{Name: "loss"}
	n, known := l.needed()
	switch {
	case known && n <= l.AllowedBytes:
		g.OK, g.Reason = true, fmt.Sprintf("%s, allowed %s", sizeText(n), sizeText(l.AllowedBytes))
	case r.AcceptLossUnknown:
		g.OK, g.Reason = true, "an unknown loss is accepted"
	case known && r.AcceptLossBytes != nil && *r.AcceptLossBytes >= n:
		g.OK, g.Reason = true, fmt.Sprintf("%s, %s accepted", sizeText(n), sizeText(*r.AcceptLossBytes))
	case known:
		g.Reason = fmt.Sprintf("%s would be lost, allowed are %s", sizeText(n), sizeText(l.AllowedBytes))
		g.Hint = "--accept-data-loss " + sizeArg(n)
	case readable && r.AcceptLossBytes != nil && *r.AcceptLossBytes >= l.AtLeastBytes:
		g.OK, g.Reason = true, fmt.Sprintf("%s accepted; what the sealed disk shows decides", sizeText(*r.AcceptLossBytes))
	case readable:
		g.Reason = fmt.Sprintf("at least %s, at most unknown until the seal", sizeText(l.AtLeastBytes))
		g.Hint = "--accept-data-loss SIZE (held against the sealed disk), or --accept-data-loss unknown"
	default:
		g.Reason = fmt.Sprintf("at least %s, at most unknown: nobody can read the end of WAL", sizeText(l.AtLeastBytes))
		g.Hint = "--accept-data-loss unknown"
	}
	return g
}

// sizeText prints bytes for people.
func sizeText(n uint64) string {
	for _, u := range []struct {
		size uint64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= 10*u.size {
			return fmt.Sprintf("%d %s", (n+u.size-1)/u.size, u.name) // never below the truth
		}
	}
	return fmt.Sprintf("%d B", n)
}

// sizeArg prints bytes as an argument that is never below n.
func sizeArg(n uint64) string {
	if n >= 10<<10 {
		return fmt.Sprintf("%dKiB", (n+1023)/1024)
	}
	return strings.ReplaceAll(fmt.Sprintf("%d B", n), " ", "")
}
