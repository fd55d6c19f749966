package main

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/gestionale-fullstack/watchdog/runbooks"
)

// TestPrompt_Interrupted_ChangesNothing covers the interrupt at a question,
// which a script cannot time.
func TestPrompt_Interrupted_ChangesNothing(t *testing.T) {
	in, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hold.Close(); _ = in.Close() })
	a := &app{stdin: in, stderr: &bytes.Buffer{}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = newPrompter(a).line(ctx, "name: ")
	if r := asRefusal(err); r.Exit != runbooks.ExitInterrupted {
		t.Errorf("exit = %d, want %d", r.Exit, runbooks.ExitInterrupted)
	}
}
