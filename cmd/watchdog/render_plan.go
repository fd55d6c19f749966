package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/runbooks"
)

// renderPlan gives the plan as it is read before it is confirmed.
func renderPlan(p runbooks.Plan, st style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s       valid until %s or until the state changes\n",
		st.paint(bold, "PLAN "+clean(p.ID)), headline(p), clock(p.MadeAt.Add(time.Duration(p.ValidFor)*time.Second)))
	if p.Already {
		for _, g := range p.Gates {
			b.WriteString("ok     " + clean(g.Reason) + "\n")
		}
		return b.String()
	}
	section(&b, "Why", cleanAll(p.Why))
	if hasLoss(p) {
		section(&b, "Loss", lossLines(p))
	}
	if p.Fence.Node != "" {
		section(&b, "Fence", fencePlanLines(p))
	}
	b.WriteString(stepTable(p, st))
	section(&b, "Gates", gateLines(p.Gates, st))
	section(&b, "Note", cleanAll(p.Warnings))
	if p.Refusal != nil {
		b.WriteString(refusedLines(p.Refusal, st))
	}
	if p.Next != "" {
		b.WriteString("Run    " + clean(p.Next) + "\n")
	}
	return b.String()
}

func headline(p runbooks.Plan) string {
	target, other := clean(p.Target), clean(p.Fence.Node)
	switch p.Kind {
	case runbooks.KindPromote:
		if other == "" {
			return "make " + target + " primary"
		}
		return "make " + target + " primary, fence " + other
	case runbooks.KindFence:
		return "fence " + target + ": it cannot write until it is released"
	case runbooks.KindRelease:
		return "let " + target + " be primary again"
	case runbooks.KindAdopt:
		return "record " + target + " as the primary of a new epoch"
	}
	return clean(string(p.Kind)) + " " + target
}

// section writes lines under a label that stands beside the first.
func section(b *strings.Builder, label string, lines []string) {
	for i, l := range lines {
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(b, "%-6s %s\n", label, l)
	}
}

func cleanAll(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = clean(s)
	}
	return out
}

// hasLoss reports whether the plan can lose anything: only one that replaces a
// primary judges the loss.
func hasLoss(p runbooks.Plan) bool {
	for _, g := range p.Gates {
		if g.Name == lossGate {
			return true
		}
	}
	return false
}

// lossGate is the stable name of the gate that judges the loss.
const lossGate = "loss"

// lossLines gives the three figures of DESIGN rule 8.
func lossLines(p runbooks.Plan) []string {
	l := p.Loss
	old, standby := clean(p.Fence.Node), clean(p.Target)
	if old == "" {
		old = clean(p.Other) // a release that needs no fence
	}
	var seen string
	switch {
	case l.Standby != 0 && l.Unsealed > l.Primary && l.AtLeastBytes > 0: // then it is the greater of the two
		seen = fmt.Sprintf("(%s's disk ends at %s; %s holds %s)", old, lsnText(l.Unsealed), standby, lsnText(l.Standby))
	case l.SampleAgeMS < 0:
		seen = fmt.Sprintf("(%s was never sampled, %s holds %s)", old, standby, lsnText(l.Standby))
	default:
		seen = fmt.Sprintf("(%s had %s, sampled %s ago; %s holds %s)", old, lsnText(l.Primary),
			ageText(time.Duration(l.SampleAgeMS)*time.Millisecond), standby, lsnText(l.Standby))
	}
	least := bytesText(l.AtLeastBytes)
	if l.Standby == 0 {
		least = unknownText // the difference to nothing is no figure
	}
	lines := []string{"at least  " + least + "  " + seen}
	if l.EstimateBytes != nil && l.Standby != 0 && *l.EstimateBytes >= l.AtLeastBytes { // below what is known it is none
		lines = append(lines, "estimate  "+bytesText(*l.EstimateBytes)+"  (last rate times the age of the sample)")
	}
	most := "unknown"
	if l.AtMostBytes != nil {
		most = bytesText(*l.AtMostBytes)
	}
	lines = append(lines, "at most   "+most+"  ("+clean(l.Basis)+")")
	if l.Unsealed != 0 {
		lines = append(lines, fmt.Sprintf("disk      ends at %s, read before the seal", l.Unsealed))
	}
	return append(lines, "allowed   "+bytesText(l.AllowedBytes))
}

func lsnText(l replication.LSN) string {
	if l == 0 {
		return unknownText
	}
	return l.String()
}

func fencePlanLines(p runbooks.Plan) []string {
	devices := "no device"
	if len(p.Fence.Devices) > 0 {
		devices = clean(strings.Join(p.Fence.Devices, ", then "))
	}
	lines := []string{fmt.Sprintf("%s  grade %s by %s", clean(p.Fence.Node), p.Fence.Grade, devices)}
	for _, e := range p.Fence.Evidence {
		age := ""
		if !e.At.IsZero() && p.MadeAt.After(e.At) {
			age = ", " + ageText(p.MadeAt.Sub(e.At)) + " before the plan"
		}
		lines = append(lines, fmt.Sprintf("%s (%s%s)", clean(e.Text), clean(e.Observer), age))
	}
	return lines
}

const pointOfNoReturn = " -- point of no return --\n"

func stepTable(p runbooks.Plan, st style) string {
	if len(p.Steps) == 0 {
		return ""
	}
	rows := [][]cell{plainCells(" #", "STEP", "ON", "LIMIT", "IF IT FAILS")}
	final := -1
	for _, s := range p.Steps {
		if s.Final && final < 0 {
			final = len(rows)
		}
		limit := ageText(time.Duration(s.Limit) * time.Second)
		rows = append(rows, plainCells(fmt.Sprintf("%2d", s.N), clean(s.Text), clean(s.Node), limit, clean(s.IfFails)))
	}
	lines := strings.SplitAfter(table(st, "", rows), "\n")
	if final < 0 {
		return strings.Join(lines, "")
	}
	return strings.Join(lines[:final], "") + st.paint(bold, pointOfNoReturn) + strings.Join(lines[final:], "")
}

func gateLines(gates []runbooks.Gate, st style) []string {
	out := make([]string, 0, len(gates))
	for _, g := range gates {
		mark := st.paint(green, "ok")
		if !g.OK {
			mark = st.paint(red, "NO")
		}
		line := mark + " " + clean(g.Name) + ": " + clean(g.Reason)
		if !g.OK && g.Hint != "" {
			line += "  -> " + clean(g.Hint)
		}
		out = append(out, line)
	}
	return out
}

func refusedLines(r *runbooks.Refusal, st style) string {
	name := ruleName(r)
	if r.Rule != "" {
		name = "rule " + name
	}
	s := fmt.Sprintf("%s by %s: %s (exit %d)\n", st.paint(red, "REFUSED"), name, clean(r.Reason), r.Exit)
	if r.Hint != "" {
		s += "hint   " + clean(r.Hint) + "\n"
	}
	return s
}
