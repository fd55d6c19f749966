package audit

import (
	"testing"

	"github.com/gestionale-fullstack/watchdog/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
