package netlab

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gestionale-fullstack/watchdog/testenv"
)

// insideVariable marks the process that lives in the lab's outside.
const insideVariable = "WATCHDOG_NETLAB"

// Main runs a package's tests in a network namespace of their own, with the
// watchdog program built with the given flags, and ends the process:
//
//	func TestMain(m *testing.M) { netlab.Main(m, []string{"-race"}) }
func Main(m *testing.M, flags []string) {
	testenv.WithProgram(flags, func() int {
		var code int
		var err error
		switch {
		case os.Geteuid() != 0:
			return testenv.RunTests(m)
		case os.Getenv(insideVariable) == "":
			code, err = testenv.Rerun(syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}, insideVariable+"=1")
		default:
			if err = furnish(); err == nil {
				code = testenv.RunTests(m)
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "netlab: make a namespace:", err)
			return 1
		}
		return code
	})
}

// furnish makes the outside fit to live in: loopback works, and what is mounted
// here stays here.
func furnish() error {
	if err := ip(context.Background(), nil, "link set lo up"); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

// Need skips the test where no network can be made, and fails it where one must
// be (as root in CI).
func Need(t testing.TB) {
	t.Helper()
	switch {
	case os.Getenv(insideVariable) != "":
	case testenv.Required() && os.Geteuid() == 0:
		t.Fatal("no network lab: this package's TestMain must call netlab.Main")
	default:
		t.Skip("skipped: network namespaces need root")
	}
	testenv.NeedPostgres(t)
}
