// Package view holds what the nodes saw and the pure judgement over it: Report
// (one node's observations), View (node × observer, with ages), Limits, and
// Judge. Nothing here performs I/O or reads a clock.
package view
