// Package runbooks turns evidence into plans and plans into guarded steps:
// Facts, preflight checks over them, Plan, Step (guard, act, verify, undo), the
// runner, the journal's interface, and the operations promote, fence, release
// and adopt. It knows no sockets, no sinks, no View and no devices: it is handed
// a Fencer.
package runbooks
