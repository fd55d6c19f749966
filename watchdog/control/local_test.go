package control_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

func TestLocal_SocketAndDirectoryModes(t *testing.T) {
	_, path := local(t, func(*control.Router) {})
	for p, want := range map[string]fs.FileMode{path: fs.ModeSocket | 0o660, filepath.Dir(path): fs.ModeDir | 0o750} {
		fi, err := os.Lstat(p)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode() != want {
			t.Errorf("%s has mode %v, want %v", p, fi.Mode(), want)
		}
	}
}

func TestLocal_GroupIsSetOnTheSocket(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a socket to a group it is not in")
	}
	path := filepath.Join(t.TempDir(), "control.sock")
	s, err := control.ListenLocal(control.LocalOptions{Path: path, Group: "4242", Log: zap.NewNop()}, control.NewRouter(zap.NewNop()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st := fi.Sys().(*syscall.Stat_t); st.Gid != 4242 {
		t.Errorf("group of socket = %d, want 4242", st.Gid)
	}
}

func TestLocal_UnknownGroup_IsNamed(t *testing.T) {
	_, err := control.ListenLocal(control.LocalOptions{
		Path: filepath.Join(t.TempDir(), "s"), Group: "no-such-group-here", Log: zap.NewNop(),
	}, control.NewRouter(zap.NewNop()))
	var se *control.SocketError
	if !errors.As(err, &se) || se.Hint == "" {
		t.Fatalf("error = %v", err)
	}
}

// as runs f in a thread of another user: the kernel takes the peer credentials
// from the thread that connects. The thread ends with the goroutine.
// A process of another user, let through by a wrong mode, is still refused; one
// that has the operators' group as a supplementary group is let in.
func TestLocal_PathIsNotASocket_LeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, control.NewRouter(zap.NewNop()))
	var se *control.SocketError
	if !errors.As(err, &se) || se.Hint == "" {
		t.Fatalf("error = %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("file now holds %q, %v", b, err)
	}
}

func TestLocal_FileOnTheTemporaryName_LeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	if err := os.WriteFile(path+".new", []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, control.NewRouter(zap.NewNop()))
	if err == nil {
		t.Fatal("listened over a file of somebody else")
	}
	if b, err := os.ReadFile(path + ".new"); err != nil || string(b) != "precious" {
		t.Errorf("file now holds %q, %v", b, err)
	}
}

func TestLocal_LiveSocket_AlreadyRunning(t *testing.T) {
	_, path := local(t, func(*control.Router) {})
	_, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, control.NewRouter(zap.NewNop()))
	if !errors.Is(err, control.ErrAlreadyRunning) {
		t.Fatalf("error = %v", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the running service lost its socket: %v", err)
	}
}

func TestLocal_TwoServicesStartAtOnce_OneWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	servers := make(chan *control.LocalServer, 8)
	errs := make(chan error, 8)
	for range 8 {
		go func() {
			s, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, control.NewRouter(zap.NewNop()))
			if err != nil && !errors.Is(err, control.ErrAlreadyRunning) {
				t.Errorf("error = %v", err)
			}
			servers <- s
			errs <- err
		}()
	}
	won := 0
	for range 8 {
		if s := <-servers; s != nil {
			won++
			defer s.Close()
		}
		<-errs
	}
	if won != 1 {
		t.Errorf("%d services have the socket", won)
	}
}

func TestLocal_ForeignListener_AlreadyRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, control.NewRouter(zap.NewNop())); !errors.Is(err, control.ErrAlreadyRunning) {
		t.Fatalf("error = %v", err)
	}
}

func TestLocal_StaleSocket_Replaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	s, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, control.NewRouter(zap.NewNop()))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("socket is still there after close: %v", err)
	}
}

func TestLocal_FileReplacedWhileRunning_NotDeleted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	s, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, control.NewRouter(zap.NewNop()))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("file now holds %q, %v", b, err)
	}
}

func TestLocal_WorldWritableDirectory_Refused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := control.ListenLocal(control.LocalOptions{Path: filepath.Join(dir, "s"), Log: zap.NewNop()}, control.NewRouter(zap.NewNop())); err == nil {
		t.Fatal("listened where anybody can replace the socket")
	}
}

func TestLocal_TooLongPath_SaysSo(t *testing.T) {
	_, err := control.ListenLocal(control.LocalOptions{
		Path: "/tmp/" + strings.Repeat("x", 110), Log: zap.NewNop(),
	}, control.NewRouter(zap.NewNop()))
	var se *control.SocketError
	if !errors.As(err, &se) || se.Hint == "" {
		t.Fatalf("error = %v", err)
	}
}

func TestLocalClient_NoService_CertainlyDidNotArrive(t *testing.T) {
	c := control.NewLocalClient(filepath.Join(t.TempDir(), "none.sock"))
	defer c.Close()
	_, err := control.Call(within(t, 5*time.Second), c, control.Status, "", control.None{})
	var u *control.Unreachable
	if !errors.As(err, &u) || u.OutcomeUnknown() || u.Phase != control.PhaseDial {
		t.Fatalf("error = %#v", err)
	}
	if r := u.Refusal(); r.Exit != runbooks.ExitUnavailable || r.Hint == "" {
		t.Errorf("refusal = %+v", r)
	}
}

// None of the zero values that travel may keep an endpoint from working.
func TestLocal_EveryEndpointCarriesItsTypes(t *testing.T) {
	c, _ := local(t, func(r *control.Router) {
		control.Handle(r, control.ShowOp, func(_ context.Context, _ control.Caller, id string, _ control.None) (control.Records, error) {
			return control.Records{Records: []runbooks.Record{{Format: 1, Operation: id, Result: fence.ResultDone}}}, nil
		})
		control.Handle(r, control.AbortOp, func(_ context.Context, _ control.Caller, id string, q runbooks.Request) (control.Started, error) {
			return control.Started{Operation: id, Node: q.Node, Already: true}, nil
		})
	})
	ctx := within(t, 5*time.Second)
	recs, err := control.Call(ctx, c, control.ShowOp, "p-17", control.None{})
	if err != nil || len(recs.Records) != 1 || recs.Records[0].Operation != "p-17" {
		t.Errorf("show = %+v, %v", recs, err)
	}
	st, err := control.Call(ctx, c, control.AbortOp, "p-17", runbooks.Request{Node: "b"})
	if err != nil || st != (control.Started{Operation: "p-17", Node: "b", Already: true}) {
		t.Errorf("abort = %+v, %v", st, err)
	}
}
