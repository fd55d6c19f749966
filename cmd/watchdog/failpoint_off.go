//go:build !failpoints

package main

// failpoint is empty outside test builds: nothing can end the process at a
// named point of an operation.
func failpoint() func(string) { return nil }
