package watchdog

import (
	"net"
	"testing"
)

// TestRule2_RefusalByAnotherMachine_IsSignOfLife attacks "unreachable is not
// fenced" from the other side: what was stated or read as off must not answer
// with a refusal either.
func TestRule2_RefusalByAnotherMachine_IsSignOfLife(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	another := func(net.IP) bool { return false }
	if alive, how := kernelLives(t.Context(), addr, another); !alive {
		t.Errorf("a port that takes connections shows no life (%q)", how)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if alive, _ := kernelLives(t.Context(), addr, another); !alive {
		t.Error("a refusal by another machine shows no life")
	}
	if alive, how := kernelLives(t.Context(), addr, ownAddress); alive {
		t.Errorf("a refusal by this very machine counts as life of another one: %s", how)
	}
}
