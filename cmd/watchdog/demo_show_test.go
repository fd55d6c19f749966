package main

import (
	"os/exec"
	"testing"
)

func TestShellWord_OddPath_ShellReadsItBack(t *testing.T) {
	for _, path := range []string{"/tmp/plain-1.d", "/tmp/with blank's $HOME", "", "/tmp/a;b"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shellWord(path)).Output()
		if err != nil || string(out) != path {
			t.Errorf("sh reads %s as %q, %v; want %q", shellWord(path), out, err, path)
		}
	}
}
