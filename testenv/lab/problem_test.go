package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// engineThat puts a program docker first on PATH that fails with a text.
func engineThat(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestNew_EngineIsNotToBeHad_OneSentenceWithTheRemedy(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"does not answer": {`echo "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?" >&2; exit 1`, "no container engine answers; start it"},
		"no permission":   {`echo "permission denied while trying to connect to the Docker daemon socket" >&2; exit 1`, "may not use the container engine; run it as root"},
	} {
		engineThat(t, c.script)
		_, err := New(t.Context(), Options{})
		if !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNew_EngineWithoutRoom_SaysHowMuchIsNeeded(t *testing.T) {
	// /proc has no room for anything.
	engineThat(t, "echo /proc")
	var p *Problem
	if _, err := New(t.Context(), Options{Compose: []string{"true"}}); !errors.As(err, &p) || errors.Is(err, ErrNoEngine) || !strings.Contains(p.What, "has 0 MB free") {
		t.Errorf("%v; want a problem of its own that no skip hides", err)
	}
}

func TestNew_UnknownPostgreSQL_NamesThoseThatThereAre(t *testing.T) {
	if _, err := New(t.Context(), Options{Postgres: "9.6"}); err == nil || !strings.Contains(err.Error(), "choose 15") {
		t.Errorf("%v", err)
	}
}

func TestCheckPort_Taken_NamesItAndTheWayOut(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	lab := &Lab{o: Options{Port: port}}
	if err := lab.checkPort(t.Context()); err == nil || !strings.Contains(err.Error(), port) || !strings.Contains(err.Error(), "LAB_PORT") {
		t.Errorf("taken: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := lab.checkPort(t.Context()); err != nil {
		t.Errorf("free again: %v", err)
	}
}

func TestExplain_KnownFailures_KeepTheCauseAndAddTheRemedy(t *testing.T) {
	for said, remedy := range map[string]string{
		"write /x: no space left on device":                         "make room",
		"Pool overlaps with other one on this address space":        "LAB_LAN",
		"Bind for 127.0.0.1:8480 failed: port is already allocated": "LAB_PORT",
	} {
		cause := fmt.Errorf("run docker: %s", said)
		var p *Problem
		if err := explain(cause, "8480"); !errors.As(err, &p) || !errors.Is(err, cause) || !strings.Contains(p.Remedy, remedy) {
			t.Errorf("%s: %v", said, err)
		}
	}
	if cause := errors.New("something new"); !errors.Is(explain(cause, "1"), cause) {
		t.Error("an unknown failure lost its cause")
	}
}
