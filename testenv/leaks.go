package testenv

import "go.uber.org/goleak"

// IgnoreServers keeps goleak from counting what follows a running server of a
// pair: it ends with the server, which for SharedPair is after the last test.
func IgnoreServers() goleak.Option {
	return goleak.IgnoreAnyFunction("github.com/gestionale-fullstack/watchdog/testenv/demo.(*Server).spawn.func1")
}
