package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gestionale-fullstack/watchdog/testenv"
)

// binaryVariable hands the built program over to the run, which may go on as
// another user.
const binaryVariable = "WATCHDOG_BENCH_BINARY"

// rounds is how often each speed is measured.
var rounds = flag.Int("rounds", 5, "rounds of each measurement")

// TestMain builds the program as `make build` does (no race detector, no
// failpoints), unless nothing is to be measured.
func TestMain(m *testing.M) {
	flag.Parse()
	measuring := flag.Lookup("test.bench").Value.String() != ""
	if measuring && os.Getenv(binaryVariable) == "" {
		dir, err := build()
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: build the program:", err)
			os.Exit(1)
		}
		// testenv.Main ends the process: the folder goes with the system's own
		// cleaning of temporary files.
		_ = os.Setenv(binaryVariable, filepath.Join(dir, "watchdog"))
	}
	testenv.Main(m)
}

func build() (string, error) {
	dir, err := os.MkdirTemp("", "wd-bench-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "watchdog"), "../../cmd/watchdog")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
}
