package bench

import (
	"flag"
	"testing"

	"github.com/gestionale-fullstack/watchdog/testenv"
)

// rounds is how often each speed is measured.
var rounds = flag.Int("rounds", 5, "rounds of each measurement")

// TestMain builds the program as `make build` does (no race detector, no
// failpoints), unless nothing is to be measured.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		testenv.Main(m)
	}
	testenv.MainWithProgram(m, []string{"-trimpath", "-buildvcs=false"})
}
