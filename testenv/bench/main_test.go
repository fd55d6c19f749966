package bench

import (
	"flag"
	"testing"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/netlab"
)

// rounds is how often each speed is measured.
var rounds = flag.Int("rounds", 5, "rounds of each measurement")

// TestMain builds the program as `make build` does (no race detector, no
// failpoints), unless nothing is to be measured. As root everything runs in
// namespaces of its own; otherwise what needs them is left out.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		testenv.Main(m)
	}
	netlab.Main(m, []string{"-trimpath", "-buildvcs=false"})
}
