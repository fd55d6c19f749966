package story

import (
	"testing"

	"github.com/gestionale-fullstack/watchdog/testenv"
)

// TestMain builds the program with the race detector and the failpoints.
func TestMain(m *testing.M) { testenv.MainWithProgram(m, []string{"-race", "-tags", "failpoints"}) }
