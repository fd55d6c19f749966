package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// renderStatus gives the status as text: every value with its age and who saw
// it, what contradicts it, and the command to type next.
func renderStatus(s view.Status, st style) string {
	var b strings.Builder
	b.WriteString(statusHead(s, st))
	b.WriteString("\n")
	b.WriteString(nodeTable(s, st))
	for _, n := range s.Nodes {
		b.WriteString(disputed(n, st))
	}
	b.WriteString(topologyLines(s))
	b.WriteString(readyLines(s, st))
	b.WriteString(diskLine(s))
	if len(s.Open)+len(s.Faults) > 0 || s.Running != "" {
		b.WriteString("\n")
	}
	for _, f := range s.Faults {
		b.WriteString(st.paint(red, "!! this service refuses to act: ") + clean(f) + "\n")
	}
	if s.Running != "" {
		b.WriteString("!  operation " + clean(s.Running) + " is open: watchdog ops follow " + clean(s.Running) + "\n")
	}
	shown := map[string]bool{}
	for _, c := range s.Open {
		b.WriteString(conditionLines(c, s.Summary, shown, st))
	}
	b.WriteString(nextLines(s.Next))
	return b.String()
}

// stateMark gives the symbol and the colour of an overall state.
func stateMark(state string) (symbol, colour string) {
	switch state {
	case "HEALTHY":
		return "[ok]", green
	case "DEGRADED":
		return "[!]", yellow
	case "CRITICAL":
		return "[!!]", red
	}
	return "[?]", yellow
}

func statusHead(s view.Status, st style) string {
	state := clean(s.State)
	if state == "" {
		state = "UNKNOWN"
	}
	symbol, colour := stateMark(state)
	line := fmt.Sprintf("%s  %s", clean(s.Cluster), st.paint(colour, symbol+" "+state))
	line += "  " + s.At.Local().Format("15:04:05 MST") + "\n"
	line += "asked on " + clean(s.AskedOn) + ", " + epochText(s) + ", oldest sample " + oldestSample(s) + "\n"
	if s.Summary != "" {
		line += clean(s.Summary) + "\n"
	}
	return line
}

func epochText(s view.Status) string {
	switch {
	case s.Epoch.Zero():
		return "no epoch (never adopted)"
	case !s.Adopted:
		return fmt.Sprintf("epoch %d (primary %s), boot gate of %s inactive", s.Epoch.Number, clean(s.Epoch.Primary), clean(s.AskedOn))
	}
	return fmt.Sprintf("epoch %d (primary %s)", s.Epoch.Number, clean(s.Epoch.Primary))
}

// oldestSample is the age of the oldest of the samples that the table rests
// on; never when a server has none.
func oldestSample(s view.Status) string {
	oldest := time.Duration(0)
	for _, n := range s.Nodes {
		if n.Witness {
			continue
		}
		seen, _, ok := vantage(n)
		if !ok || seen.Age < 0 {
			return "never"
		}
		oldest = max(oldest, seen.Age)
	}
	return ageText(oldest)
}

// vantage picks the sample that the node's row shows: the node's own, which is
// nearest, unless another observer has a newer one by more than a second.
func vantage(n view.NodeStatus) (view.ServerReport, string, bool) {
	best := -1
	for i, seen := range n.Seen {
		if i >= len(n.Observers) || seen.Age < 0 {
			continue
		}
		switch {
		case best < 0:
			best = i
		case n.Observers[i] == n.Node && seen.Age <= n.Seen[best].Age+time.Second:
			best = i
		case n.Observers[best] == n.Node && seen.Age+time.Second < n.Seen[best].Age:
			best = i
		case n.Observers[best] != n.Node && seen.Age < n.Seen[best].Age:
			best = i
		}
	}
	if best < 0 {
		return view.ServerReport{}, "", false
	}
	return n.Seen[best], n.Observers[best], true
}

func nodeTable(s view.Status, st style) string {
	rows := [][]cell{plainCells("NODE", "ROLE", "POSTGRES", "TL", "RECEIVED", "REPLAYED", "BEHIND", "APP", "FENCE", "HEARD", "SAMPLE")}
	for _, n := range s.Nodes {
		rows = append(rows, nodeRow(n))
	}
	return table(st, "", rows)
}

func nodeRow(n view.NodeStatus) []cell {
	name := clean(n.Node)
	if n.Self {
		name += " *"
	}
	if n.Witness {
		dash := notApplicableText
		return plainCells(name, "witness", dash, dash, dash, dash, dash, appText(n), dash, heardText(n), dash)
	}
	seen, by, ok := vantage(n)
	state, colour := postgresText(n, seen, ok)
	received, replayed, tl, sample := unknownText, unknownText, unknownText, "never"
	if ok {
		received, replayed, tl = positions(n.Role, seen)
		sample = ageText(seen.Age) + " " + clean(by)
	}
	return []cell{
		{text: name}, {text: n.Role.String()}, {text: state, colour: colour}, {text: tl}, {text: received}, {text: replayed},
		{text: behindText(n)}, {text: appText(n)}, {text: fenceText(n)}, {text: heardText(n)}, {text: sample},
	}
}

// postgresText gives the verdict; observers that differ make it disputed.
func postgresText(n view.NodeStatus, seen view.ServerReport, ok bool) (text, colour string) {
	if !ok {
		return unknownText + " no sample", yellow
	}
	if disagree(n) {
		return "! disputed", red
	}
	switch v := seen.Verdict; v {
	case replication.VerdictHealthy:
		if seen.Role == replication.RoleStandby {
			return "in recovery", ""
		}
		return "healthy", ""
	case replication.VerdictUnknown:
		return unknownText + " unknown", yellow
	case replication.VerdictUnreachable, replication.VerdictHung:
		return unknownText + " " + v.String(), red // silence proves nothing
	default:
		return "! " + v.String(), red
	}
}

// positions gives received and replayed LSN and the timeline. Positions of a
// server that does not answer are the last that were seen.
func positions(role replication.Role, seen view.ServerReport) (received, replayed, tl string) {
	received, replayed, tl = unknownText, notApplicableText, unknownText
	if seen.Position != 0 {
		received = seen.Position.String()
	}
	if seen.Timeline != 0 {
		tl = strconv.FormatUint(uint64(seen.Timeline), 10)
	}
	if role == replication.RoleStandby || seen.Role == replication.RoleStandby {
		replayed = unknownText
		switch {
		case seen.Replay != 0:
			replayed = seen.Replay.String()
		case seen.Status != nil && seen.Status.Replay != 0:
			replayed = seen.Status.Replay.String()
		}
	}
	return received, replayed, tl
}

func appText(n view.NodeStatus) string {
	switch {
	case n.App == nil:
		return notApplicableText
	case n.App.Age < 0:
		return unknownText
	case n.App.Status == 0:
		return "! none " + ageText(n.App.Age)
	case n.App.OK:
		return fmt.Sprintf("%d %s", n.App.Status, ageText(n.App.Age))
	}
	return fmt.Sprintf("! %d %s", n.App.Status, ageText(n.App.Age))
}

func fenceText(n view.NodeStatus) string {
	switch {
	case n.Fence != "":
		return "! " + clean(n.Fence)
	case n.Durable == nil:
		return unknownText
	}
	return "no"
}

func heardText(n view.NodeStatus) string {
	switch {
	case n.Self:
		return "here"
	case n.Heard < 0:
		return "never"
	case n.Planned:
		return "stopped " + ageText(n.Heard)
	}
	return ageText(n.Heard)
}
