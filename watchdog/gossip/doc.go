// Package gossip carries versioned reports, as opaque bytes, between the
// configured nodes, with hints about who is alive. It is built on memberlist and
// is the only package that knows of it.
//
// What arrives here is advice: whoever holds the gossip key can forge all of it
// (DESIGN rule 14). A member that is not alive is a reason to probe, never a
// verdict.
package gossip
