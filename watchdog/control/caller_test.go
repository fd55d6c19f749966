package control_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func TestLocal_CallReachesHandlerWithKernelCredentials(t *testing.T) {
	var by control.Caller
	c, _ := local(t, func(r *control.Router) {
		control.Handle(r, control.Status, func(_ context.Context, who control.Caller, _ string, _ control.None) (view.Status, error) {
			by = who
			return view.Status{V: 1, Cluster: "shop"}, nil
		})
	})
	got, err := control.Call(within(t, 5*time.Second), c, control.Status, "", control.None{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Cluster != "shop" {
		t.Errorf("cluster = %q", got.Cluster)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if int(by.UID) != os.Getuid() || int(by.GID) != os.Getgid() || int(by.PID) != os.Getpid() || by.User != me.Username || by.Node != "" {
		t.Errorf("caller = %+v", by)
	}
	if want := me.Username + " (uid " + me.Uid + ")"; by.String() != want {
		t.Errorf("caller reads %q, want %q", by, want)
	}
}

func as(t *testing.T, uid uint32, groups []uint32, f func()) {
	t.Helper()
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: its credentials are spoilt
		gids := append([]uint32{}, groups...)
		_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(gids)), uintptr(unsafe.Pointer(unsafe.SliceData(gids))), 0)
		if errno == 0 {
			_, _, errno = unix.RawSyscall(unix.SYS_SETRESGID, uintptr(uid), uintptr(uid), uintptr(uid))
		}
		if errno == 0 {
			_, _, errno = unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
		}
		if errno != 0 {
			failed <- errno
			return
		}
		f()
		failed <- nil
	}()
	if err := <-failed; err != nil {
		t.Fatalf("become uid %d: %v", uid, err)
	}
}

func TestLocal_CallerOutsideTheGroup_Refused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to connect as another user")
	}
	dir, err := os.MkdirTemp("", "wdsock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "control.sock")
	r := control.NewRouter(zap.NewNop())
	var called atomic.Int32
	control.Handle(r, control.Status, func(_ context.Context, by control.Caller, _ string, _ control.None) (view.Status, error) {
		called.Add(1)
		return view.Status{V: 1, Summary: by.String()}, nil
	})
	s, err := control.ListenLocal(control.LocalOptions{Path: path, Group: "4242", Log: zap.NewNop()}, r)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s.Run)
	ask := func(groups []uint32) string {
		var answer []byte
		as(t, 65534, groups, func() {
			conn, err := net.Dial("unix", path)
			if err != nil {
				answer = []byte(err.Error())
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = conn.Write([]byte("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
			answer, _ = io.ReadAll(conn)
		})
		return string(answer)
	}
	if out := ask(nil); called.Load() != 0 || !strings.Contains(out, "permission denied") {
		t.Errorf("outsider at mode 0660: handler ran %d times, answer %s", called.Load(), out)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if out := ask(nil); called.Load() != 0 || !strings.Contains(out, `"exit":5`) {
		t.Errorf("outsider at mode 0666: handler ran %d times, answer %s", called.Load(), out)
	}
	if out := ask([]uint32{4242}); called.Load() != 1 || !strings.Contains(out, "uid 65534") {
		t.Errorf("operator by supplementary group: handler ran %d times, answer %s", called.Load(), out)
	}
}

func TestAllowedCredentials(t *testing.T) {
	for _, c := range []struct {
		name      string
		uid, gid  uint32
		groups    []uint32
		operators int
		want      bool
	}{
		{"root", 0, 0, nil, -1, true},
		{"own user", 26, 26, nil, -1, true},
		{"stranger, no group configured", 1000, 1000, nil, -1, false},
		{"stranger", 1000, 1000, []uint32{27, 4}, 50, false},
		{"primary group", 1000, 50, nil, 50, true},
		{"supplementary group", 1000, 1000, []uint32{4, 50}, 50, true},
		{"group root is not user root", 1000, 0, nil, 50, false},
	} {
		if got := control.AllowedCredentials(c.uid, c.gid, c.groups, 26, c.operators); got != c.want {
			t.Errorf("%s: allowed = %v", c.name, got)
		}
	}
}
