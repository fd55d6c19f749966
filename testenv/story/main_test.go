package story

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gestionale-fullstack/watchdog/testenv"
)

// binaryVariable hands the built program over to the tests, which may run as
// another user.
const binaryVariable = "WATCHDOG_STORY_BINARY"

// TestMain builds the program once, with the race detector and the failpoints,
// before the tests become the user that PostgreSQL accepts.
func TestMain(m *testing.M) {
	if os.Getenv(binaryVariable) == "" && !testenv.AsCommand() {
		dir, err := build()
		if err != nil {
			fmt.Fprintln(os.Stderr, "story: build the program:", err)
			os.Exit(1)
		}
		// testenv.Main ends the process: the folder is removed by the system's
		// own cleaning of temporary files, or by the next boot.
		_ = os.Setenv(binaryVariable, filepath.Join(dir, "watchdog"))
	}
	testenv.Main(m)
}

func build() (string, error) {
	dir, err := os.MkdirTemp("", "wd-story-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-race", "-tags", "failpoints", "-o", filepath.Join(dir, "watchdog"), "../../cmd/watchdog")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
}
