package main

import (
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func TestRenderStatus_WhatWasSaidIsNotSaidAgain(t *testing.T) {
	s := view.Status{Cluster: "demo", State: "CRITICAL", Summary: "nobody writes", Open: []view.OpenCondition{
		{Code: "NoPrimary", Subject: "pair", Severity: "page", Text: "nobody writes", Evidence: []string{"db2 sees db1 down", "db1 sees db1 down"}},
		{Code: "PostgresDown", Subject: "db1", Severity: "warning", Text: "db1 is down", Evidence: []string{"db2 sees db1 down", "and db3 too"}},
	}}
	got := renderStatus(s, style{})
	for text, times := range map[string]int{"nobody writes": 1, "db2 sees db1 down": 1, "db1 sees db1 down": 1, "and db3 too": 1, "and as above": 1, "PostgresDown db1: db1 is down": 1} {
		if n := strings.Count(got, text); n != times {
			t.Errorf("%q stands %d times, want %d:\n%s", text, n, times, got)
		}
	}
}
