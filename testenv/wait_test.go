package testenv

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// failing is a testing.TB that keeps what Fatalf said.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestWait_LimitPassed_ReportsTheLastState(t *testing.T) {
	f := &failing{TB: t}
	over := make(chan struct{})
	n := 0
	go func() {
		defer close(over)
		Wait(f, 60*time.Millisecond, "the moon", func() (bool, string) {
			n++
			return false, fmt.Sprintf("look %d: cloudy", n)
		})
	}()
	<-over
	if want := fmt.Sprintf("look %d: cloudy", n); !strings.Contains(f.said, want) || !strings.Contains(f.said, "for the moon") {
		t.Errorf("said %q, want it to name what was waited for and %q", f.said, want)
	}
	if n < 2 {
		t.Errorf("asked %d times, want more than once", n)
	}
}

func TestWait_Yes_ReturnsAtOnce(t *testing.T) {
	n := 0
	Wait(t, 0, "nothing", func() (bool, string) { n++; return true, "" })
	if n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}
