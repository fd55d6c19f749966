package netlab

import (
	"fmt"
	"os"
	"syscall"
	"testing"

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
		if os.Geteuid() != 0 || os.Getenv(insideVariable) != "" {
			return testenv.RunTests(m)
		}
		code, err := testenv.Rerun(syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}, insideVariable+"=1")
		if err != nil {
			fmt.Fprintln(os.Stderr, "netlab: make a network namespace:", err)
			return 1
		}
		return code
	})
}

// need skips the test where no network can be made, and fails it where one must
// be (as root in CI).
func need(t testing.TB) {
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
