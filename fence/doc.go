// Package fence holds what it means that a node cannot write: the grades, the
// evidence behind them, epochs, intents, orders and markers as values, the
// chain of devices, and the boot gate as a pure decision over facts.
//
// It knows neither who deserves a fence (package runbooks) nor how a device
// works (package fence/device).
package fence
