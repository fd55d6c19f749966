package pgctl

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// The engine's real answers are tried by the compose lab; here is what the driver
// makes of them, and what the client makes of an engine that errs.

func TestComposeStatus_EveryStateOfTheContainer(t *testing.T) {
	server := pgdata.Process{PID: 4711, IsPostmaster: true, Server: true}
	for name, c := range map[string]struct {
		state   ContainerState
		servers []pgdata.Process
		want    Status
		err     error
	}{
		"running":                   {ContainerState{Status: "running", Restart: "always"}, []pgdata.Process{server}, Status{Running: true, Pids: []int{4711}, RestartsByItself: true, StartsAtBoot: true}, nil},
		"paused":                    {ContainerState{Status: "paused", Restart: "no"}, []pgdata.Process{server}, Status{Running: true, Pids: []int{4711}}, nil},
		"stopped for good":          {ContainerState{Status: "exited", Restart: "no"}, nil, Status{}, nil},
		"no policy said":            {ContainerState{Status: "exited"}, nil, Status{}, nil},
		"stopped, comes up":         {ContainerState{Status: "exited", Restart: "unless-stopped"}, nil, Status{RestartsByItself: true, StartsAtBoot: true}, nil},
		"outlived by a process":     {ContainerState{Status: "exited", Restart: "no"}, []pgdata.Process{server}, Status{Running: true, Pids: []int{4711}}, nil},
		"processes unseen":          {ContainerState{ID: theID, Status: "running", PID: 1 << 30}, nil, Status{}, ErrBlind},
		"number is somebody else's": {ContainerState{ID: theID, Status: "running", PID: os.Getpid()}, nil, Status{}, ErrBlind},
		"a second container":        {ContainerState{Status: "exited", Restart: "no", Mounts: []Mount{{Destination: "/d", Beside: []string{"shop_old_1"}}}}, nil, Status{}, ErrStillHeld},
		"another on another volume": {ContainerState{Status: "exited", Restart: "no", Mounts: []Mount{{Destination: "/d"}, {Destination: "/etc/x", Beside: []string{"helper"}}}}, nil, Status{}, nil},
		"which mount is not known":  {ContainerState{Status: "exited", Restart: "no", Mounts: []Mount{{Destination: "/x", Beside: []string{"who"}}}}, nil, Status{}, ErrStillHeld},
		"data below the mount":      {ContainerState{Status: "exited", Restart: "no", Mounts: []Mount{{Source: "/", Destination: "/dx"}, {Source: "/v", Destination: "/", Beside: []string{"who"}}}}, nil, Status{}, ErrStillHeld},
	} {
		got, err := Compose{Container: "shop/db", DataDir: "/d"}.status(c.state, c.servers)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		got.Restart, got.Detail = "", ""
		if got.Running != c.want.Running || got.RestartsByItself != c.want.RestartsByItself || got.StartsAtBoot != c.want.StartsAtBoot || !slices.Equal(got.Pids, c.want.Pids) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	for _, s := range []ContainerState{{Status: "restarting"}, {Status: ""}, {Status: "exited", Restart: "sometimes"}} {
		if got, err := (Compose{}).status(s, nil); err == nil {
			t.Errorf("%+v is taken for %+v; want an error, for unknown is no proof", s, got)
		}
	}
}

const theID = "4f8c0e2a91d75b3366aa0c1de9b7f4205a6e8d3c2b1a09f8e7d6c5b4a3928170"

// A process counts as the container's only when its control group says so, in
// every way in which engines write it.
func TestVisible_ControlGroupDecides(t *testing.T) {
	for groups, want := range map[string]bool{
		"0::/system.slice/docker-" + theID + ".scope\n":            true,
		"0::/../docker-" + theID + ".scope\n":                      true, // read from another container
		"12:pids:/docker/" + theID + "\n1:name=systemd:/docker/\n": true,
		"0::/machine.slice/libpod-" + theID + ".scope/container\n": true,
		"0::/\n": false,
		"0::/system.slice/docker-" + strings.Repeat("a", 64) + ".scope": false,
		"": false,
	} {
		proc := t.TempDir()
		if err := os.MkdirAll(filepath.Join(proc, "4711"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, "4711", "cgroup"), []byte(groups), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := visible(proc, ContainerState{ID: theID, PID: 4711}); got != want {
			t.Errorf("%q: visible %t, want %t", groups, got, want)
		}
		if visible(proc, ContainerState{ID: theID, PID: 4712}) || visible(proc, ContainerState{PID: 4711}) {
			t.Errorf("%q: a process that is not there, or an id that is not, is visible", groups)
		}
	}
}

// For a moment after the last process has ended the engine says that the
// container runs: that is waited for, and is no unknown outcome.
func TestComposeStatus_EngineLagsBehind_IsAskedAgain(t *testing.T) {
	shown := 0
	e, _ := engineStub(t, func(m, path string) (int, any) {
		if !strings.HasSuffix(path, "/json") || path == "/containers/json" {
			return oneContainer(m, path)
		}
		shown++
		state := map[string]any{"Status": "running", "Pid": 1 << 30}
		if shown > 3 {
			state = map[string]any{"Status": "exited"}
		} else if shown == 2 {
			state = map[string]any{"Status": "restarting"}
		}
		return http.StatusOK, map[string]any{"Id": theID, "Name": "/shop_db_1", "State": state}
	})
	s, err := Compose{Container: "shop/db", DataDir: t.TempDir(), Privileged: e}.Status(t.Context())
	if err != nil || s.Running || shown != 4 {
		t.Errorf("status %+v, %v after %d looks", s, err, shown)
	}
}

// engineStub answers as an engine would and writes down what was asked.
func engineStub(t *testing.T, answer func(method, path string) (int, any)) (Engine, *[]string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "e")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // ends with the test
		asked = append(asked, r.Method+" "+r.URL.RequestURI())
		status, body := answer(r.Method, r.URL.Path)
		w.WriteHeader(status)
		if body != nil {
			_ = json.NewEncoder(w).Encode(body)
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return Engine{Socket: socket}, &asked
}

func oneContainer(_, path string) (int, any) {
	if path == "/containers/json" {
		return http.StatusOK, []map[string]any{{"Id": "abc"}}
	}
	return http.StatusNoContent, nil
}

func TestEngine_Stop_RestartPolicyGoesFirst(t *testing.T) {
	for verb, want := range map[Verb]string{ContainerFast: "/kill?signal=SIGINT", ContainerQuit: "/kill?signal=SIGQUIT", ContainerStop: "/stop"} {
		e, asked := engineStub(t, oneContainer)
		if _, err := e.Do(t.Context(), verb, "shop/db"); err != nil {
			t.Fatal(err)
		}
		got := (*asked)[1:]
		if len(got) != 2 || got[0] != "POST /containers/abc/update" || got[1] != "POST /containers/abc"+want {
			t.Errorf("%s: %v", verb, got)
		}
	}
}

func TestEngine_PolicyCannotBeSwitchedOff_NothingIsStopped(t *testing.T) {
	e, asked := engineStub(t, func(m, path string) (int, any) {
		if strings.HasSuffix(path, "/update") {
			return http.StatusInternalServerError, map[string]string{"message": "disk is full"}
		}
		return oneContainer(m, path)
	})
	if _, err := e.Do(t.Context(), ContainerFast, "shop/db"); err == nil || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("%v", err)
	}
	if slices.ContainsFunc(*asked, func(s string) bool { return strings.Contains(s, "kill") }) {
		t.Errorf("asked %v", *asked)
	}
}

func TestEngine_StoppedContainer_StopIsNoError(t *testing.T) {
	e, _ := engineStub(t, func(m, path string) (int, any) {
		if strings.HasSuffix(path, "/kill") {
			return http.StatusConflict, map[string]string{"message": "container abc is not running"}
		}
		return oneContainer(m, path)
	})
	if _, err := e.Do(t.Context(), ContainerFast, "shop/db"); err != nil {
		t.Error(err)
	}
}

func TestEngine_NoneOrSeveralContainers_AreNamed(t *testing.T) {
	for n, want := range map[int]string{0: ErrNoContainer.Error(), 2: "there are 2"} {
		e, _ := engineStub(t, func(string, string) (int, any) { return http.StatusOK, make([]map[string]any, n) })
		if _, err := e.Do(t.Context(), ContainerShow, "shop/db"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func TestEngine_VerbsAndNamesThatAreNotOurs_NeverReachIt(t *testing.T) {
	e, asked := engineStub(t, oneContainer)
	for _, c := range []struct {
		verb Verb
		name string
	}{{"container-remove", "shop/db"}, {"container-keep-forever", "shop/db"}, {ContainerShow, "db"}, {ContainerShow, "shop/../db"}, {ContainerShow, "-a/b"}, {ContainerShow, "shop/db\n"}} {
		if out, err := e.Do(t.Context(), c.verb, c.name); !errors.Is(err, ErrRefused) || out != "" {
			t.Errorf("%q %q: %q, %v", c.verb, c.name, out, err)
		}
	}
	if len(*asked) > 0 {
		t.Errorf("asked %v", *asked)
	}
	if _, err := (InProcess{}).Do(t.Context(), ContainerShow, "shop/db"); !errors.Is(err, ErrRefused) {
		t.Errorf("without an engine: %v", err)
	}
}

func TestEngine_Show_NamesOtherContainersOnTheVolume(t *testing.T) {
	mounts := []map[string]string{{"Source": "/volumes/data", "Destination": "/d"}}
	e, _ := engineStub(t, func(_, path string) (int, any) {
		if path == "/containers/json" {
			return http.StatusOK, []map[string]any{{"Id": "abc", "Names": []string{"/shop_db_1"}, "Mounts": mounts},
				{"Id": "wd", "Names": []string{"/shop_wd_1"}, "Mounts": mounts, "Labels": map[string]string{LabelBeside: "true"}},
				{"Id": "old", "Names": []string{"/shop_old_1"}, "Mounts": mounts}}
		}
		return http.StatusOK, map[string]any{"Id": "abc", "Name": "/shop_db_1", "State": map[string]any{"Status": "exited", "ExitCode": 0},
			"HostConfig": map[string]any{"RestartPolicy": map[string]any{"Name": "no"}}, "Mounts": mounts}
	})
	// The stub does not filter, so ask for the description alone.
	out, err := e.show(context.Background(), "abc")
	var c ContainerState
	if err != nil || json.Unmarshal([]byte(out), &c) != nil || len(c.Mounts) != 1 || !slices.Equal(c.Mounts[0].Beside, []string{"shop_old_1"}) || c.Status != "exited" || c.Restart != "no" {
		t.Errorf("%s, %v", out, err)
	}
}
