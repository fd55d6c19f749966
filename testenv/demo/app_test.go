package demo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// ask gets the application's health.
func ask(t *testing.T, a *demo.App) (int, demo.Health) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+demo.HealthPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var h demo.Health
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, h
}

func TestApp_Health_FollowsItsDatabase(t *testing.T) {
	p := testenv.NewPair(t)
	db1, db2 := p.Servers[0], p.Servers[1]
	a, err := demo.NewApp(t.Context(), demo.AppOptions{DSN: demo.MultiDSN("postgres", true, db1, db2)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("application: %v", err)
		}
	})
	if status, h := ask(t, a); status != http.StatusOK || h.Database != "db1" {
		t.Errorf("with both servers up: %d %+v, want 200 from db1", status, h)
	}
	testenv.KillServer(t, db1)
	if status, h := ask(t, a); status != http.StatusServiceUnavailable || h.OK || h.Error == "" {
		t.Errorf("without a primary: %d %+v, want 503 with the cause", status, h)
	}
	if promoted, err := db2.Ask(t.Context(), "SELECT pg_promote()"); err != nil || promoted != "true" {
		t.Fatalf("promote db2: %q, %v", promoted, err)
	}
	testenv.Wait(t, 10*time.Second, "health from db2", func() (bool, string) {
		status, h := ask(t, a)
		return status == http.StatusOK && h.Database == "db2", fmt.Sprintf("%d %+v", status, h)
	})
}
