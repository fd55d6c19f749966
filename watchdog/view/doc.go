// Package view holds what the nodes saw and the pure judgement over it: Report
// (one node's observations), View (node × observer, with ages), Limits, and
// Judge. Nothing here performs I/O or reads a clock.
//
// # How the verdicts of several observers are combined
//
// Appraise gives a server its standing. The youngest fresh answer decides, from
// whichever node it came; a primary that nobody can ask is still one while a
// standby's WAL proves that it lives; only when every fresh sample says that it
// does not serve is it bad. An answer from before a refusal that has lasted since
// is history. What contradicts the standing is not dropped: it stands among the
// evidence lines, with its observer and its age.
//
// # How lag is measured
//
// Three figures in bytes: what a standby has not received, not made durable and
// not replayed, each against the primary's flushed position, and only when both
// positions lie on one line of timeline history (replication.Relate). The
// standby's position is the greater of received and replayed, because after a
// restart the received one falls back to the start of a segment.
//
// The time is how long ago the primary passed the position that the standby has
// replayed. Each observer keeps a ring of the primary's positions on its own
// monotonic clock (package observe), so that no two clocks are compared: an idle
// primary gives 0, however old its last transaction is, and a paused or delayed
// replay grows although nothing new is written. A ring that does not reach back
// gives a lower bound, and says so. The heartbeat row, which the primary's service
// renews once a minute, bounds the figure a second time.
//
// Unknown is never 0: a figure that cannot be given is absent, with the reason.
package view
