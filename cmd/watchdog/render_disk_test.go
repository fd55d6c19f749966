package main

import (
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func TestDiskLine_SaysRoomAndHowLongItLasts(t *testing.T) {
	const gib = 1 << 30
	s := view.Status{Nodes: []view.NodeStatus{
		{Node: "db1", Volumes: []view.VolumeReport{{Uses: []string{view.VolumeData, view.VolumeWAL, view.VolumeState}, FreeBytes: 40 * gib, TotalBytes: 90 * gib, FullIn: 30 * time.Hour}}},
		{Node: "db2", Volumes: []view.VolumeReport{
			{Uses: []string{view.VolumeData}, FreeBytes: 40 * gib, TotalBytes: 90 * gib}, {Uses: []string{"w\x1b[2J"}, FreeBytes: 5 * gib, TotalBytes: 9 * gib}}},
		{Node: "wit"},
	}}
	const want = "disk   db1 40 GiB of 90 GiB free, full in 30h00m; db2 data 40 GiB of 90 GiB free, w[2J 5.0 GiB of 9.0 GiB free\n"
	if got := diskLine(s); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := diskLine(view.Status{Nodes: []view.NodeStatus{{Node: "db1"}}}); got != "" {
		t.Errorf("%q although nothing is known", got)
	}
}
