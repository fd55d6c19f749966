package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gestionale-fullstack/watchdog/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// said is what a command has written so far.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// start runs a command that goes on until stop, or the end of the test, and
// returns when it has said what ready finds: the first group of that.
func start(t *testing.T, ready string, args ...string) (found string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out := &said{}
	over := make(chan int, 1)
	go func() { over <- run(ctx, args, out, out) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if code := <-over; code != 0 {
			t.Errorf("labtool %s ended with %d:\n%s", args[0], code, out)
		}
	})
	t.Cleanup(stop)
	pattern := regexp.MustCompile(ready)
	testenv.Wait(t, 20*time.Second, "labtool "+args[0], func() (bool, string) {
		m := pattern.FindStringSubmatch(out.String())
		if m == nil {
			return false, out.String()
		}
		found = m[len(m)-1]
		return true, ""
	})
	return found, stop
}

// do runs a command to its end.
func do(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

func TestRun_WrongCommandLines_ExitTwoAndSayWhy(t *testing.T) {
	for want, args := range map[string]string{
		"no command":            "dance",
		"--dsn is missing":      "app",
		"want 1":                "get",
		"go together":           "mail --user u",
		"different names":       "client --user u --servers db1,db1",
		"--host is missing":     "power --project p --password-file f",
		"NAME=SERVICE":          "power --project p --password-file f --host db1",
		"flag provided but not": "mailbox --wrong",
	} {
		if code, _, errOut := do(t, strings.Fields(args)...); code != 2 || !strings.Contains(errOut, want) {
			t.Errorf("labtool %s: exit %d, %q; want 2 and %q", args, code, errOut, want)
		}
	}
}

func TestParseServers_NamesHostsPorts(t *testing.T) {
	got, err := parseServers("db1,db2:5433,db3=10.0.0.3:5434")
	want := []server{{"db1", "db1", "5432"}, {"db2", "db2", "5433"}, {"db3", "10.0.0.3", "5434"}}
	if err != nil || len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestWithPassfile_BothFormsOfConnectionString(t *testing.T) {
	file := t.TempDir() + "/it's here"
	if _, err := withPassfile("host=db1", file); err == nil {
		t.Error("a file that is not there was accepted")
	}
	writeFile(t, file, "*:*:*:*:secret\n")
	for dsn, want := range map[string]string{
		"host=db1":                              `host=db1 passfile='` + strings.ReplaceAll(file, "'", `\'`) + `'`,
		"postgres://u@db1/g":                    "postgres://u@db1/g?passfile=",
		"postgres://u@db1/g?application_name=b": "postgres://u@db1/g?application_name=b&passfile=",
		"postgresql://u@db1/g":                  "postgresql://u@db1/g?passfile=",
	} {
		got, err := withPassfile(dsn, file)
		if err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("got %q, %v; want %q", got, err, want)
			continue
		}
		if config, err := pgx.ParseConfig(got); err != nil || config.Password != "secret" {
			t.Errorf("%q: %v, or not the password of the file", got, err)
		}
	}
}
