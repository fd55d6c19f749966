package main

import (
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/runbooks"
)

func lossText(l runbooks.Loss) string {
	p := runbooks.Plan{Kind: runbooks.KindPromote, Target: "db2", Loss: l}
	p.Fence.Node = "db1"
	return strings.Join(lossLines(p), "\n")
}

func TestLossLines_DiskEndsBeyondTheSample_FigureStandsBesideItsSource(t *testing.T) {
	estimate := uint64(34 << 10)
	got := lossText(runbooks.Loss{AtLeastBytes: 0xAE20, EstimateBytes: &estimate, Primary: 0x3074660, Standby: 0x306C558, Unsealed: 0x3077378})
	if !strings.Contains(got, "at least  44 KiB  (db1's disk ends at 0/3077378; db2 holds 0/306C558)") || strings.Contains(got, "estimate") {
		t.Errorf("the figure comes from the disk, and no estimate may lie below it:\n%s", got)
	}
}

func TestLossLines_StandbyPositionUnknown_NoFigureIsMadeUp(t *testing.T) {
	estimate := uint64(49 << 20)
	got := lossText(runbooks.Loss{AtLeastBytes: 0x30576E8, EstimateBytes: &estimate, Primary: 0x30576E8})
	if !strings.Contains(got, "at least  ?") || strings.Contains(got, "49 MiB") {
		t.Errorf("a difference to an unknown position is shown as a figure:\n%s", got)
	}
}
