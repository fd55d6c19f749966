// Package watchdog is the service: it wires probes, gossip, judgement, alerts
// and the control API together, owns the loop, and hosts the operations. It runs
// no programs, knows no SQL and no SMTP, and judges nothing itself.
package watchdog
