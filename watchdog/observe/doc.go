// Package observe runs the probes of one node: every PostgreSQL server of the
// cluster, the application, the edges to the other nodes, the host, and the
// commits of the node's own primary. It gives a view.Report and judges nothing.
package observe
