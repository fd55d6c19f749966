package demo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
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

// startApp runs an application that ends with stop, or with the test.
func startApp(t *testing.T, o demo.AppOptions) (a *demo.App, stop func()) {
	t.Helper()
	a, err := demo.NewApp(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("application: %v", err)
		}
	})
	t.Cleanup(stop)
	return a, stop
}

func TestApp_Health_FollowsItsDatabase(t *testing.T) {
	p := testenv.NewPair(t)
	db1, db2 := p.Servers[0], p.Servers[1]
	a, _ := startApp(t, demo.AppOptions{DSN: demo.MultiDSN("postgres", true, db1, db2)})
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

func TestApp_ThatWrites_GoodOnPrimaryOnly(t *testing.T) {
	p := testenv.NewPair(t)
	db1, db2 := p.Servers[0], p.Servers[1]
	writer, _ := startApp(t, demo.AppOptions{DSN: db1.DSN("postgres"), Write: true, Name: "app1"})
	for range 2 {
		if status, h := ask(t, writer); status != http.StatusOK || !h.OK || h.Database != "db1" {
			t.Fatalf("on the primary: %d %+v, want 200 from db1", status, h)
		}
	}
	if n, err := db1.Ask(t.Context(), "SELECT count(*) FROM app_health"); err != nil || n != "1" {
		t.Errorf("rows written: %q, %v; want one that is written again", n, err)
	}
	onStandby, _ := startApp(t, demo.AppOptions{DSN: db2.DSN("postgres"), Write: true, Name: "app2"})
	if status, h := ask(t, onStandby); status != http.StatusServiceUnavailable || h.OK || !strings.Contains(h.Error, "read-only") {
		t.Errorf("on the standby: %d %+v, want 503 because it is read-only", status, h)
	}
	if err := db1.Exec(t.Context(), "CREATE ROLE guest LOGIN; REVOKE ALL ON app_health FROM PUBLIC"); err != nil {
		t.Fatal(err)
	}
	guest, _ := startApp(t, demo.AppOptions{DSN: strings.ReplaceAll(db1.DSN("postgres"), "user=postgres", "user=guest"), Write: true})
	if status, h := ask(t, guest); status != http.StatusServiceUnavailable || !strings.Contains(h.Error, "permission denied") {
		t.Errorf("without the right to write: %d %+v, want 503 with the cause", status, h)
	}
}

func TestApp_CommitHangs_UnhealthyInTwoSecondsAndStopsInTwo(t *testing.T) {
	p := testenv.NewPair(t, testenv.Sync())
	db1, db2 := p.Servers[0], p.Servers[1]
	a, stop := startApp(t, demo.AppOptions{DSN: db1.DSN("postgres"), Write: true})
	if status, h := ask(t, a); status != http.StatusOK {
		t.Fatalf("with a standby: %d %+v, want 200", status, h)
	}
	testenv.KillServer(t, db2)
	begin := time.Now()
	if status, h := ask(t, a); status != http.StatusServiceUnavailable || h.Error == "" {
		t.Errorf("without the synchronous standby: %d %+v, want 503 with the cause", status, h)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("the answer took %v, want 2 s at most", took)
	}
	hanging := make(chan struct{})
	go func() {
		defer close(hanging)
		res, err := http.Get(a.URL() + demo.HealthPath)
		if err == nil {
			_ = res.Body.Close()
		}
	}()
	testenv.Wait(t, 10*time.Second, "a check that hangs", func() (bool, string) {
		n, err := db1.Ask(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		return n != "0" && err == nil, fmt.Sprint(n, err)
	})
	begin = time.Now()
	stop()
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("the end took %v, want 2 s at most", took)
	}
	<-hanging
}
