// Package device holds the ways to fence a node, one file per device: the
// peer's own service (peer.go), a Debian fence agent (agent.go), an operator's
// statement (stated.go), and the local seal (seal.go), which is what the peer's
// service does when it is asked.
//
// A device says done only after it has read its effect back, unknown when
// nobody can say, and not done only when it is certain that nothing happened.
// It knows no plans: fence.Chain decides in which order devices are asked and
// whether they are believed.
package device
