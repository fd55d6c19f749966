// Package audit judges the configuration of both servers, their machines and
// their services: what would be found out too late, at the first failover. It
// is pure: the service gathers the facts, the command prints the findings.
package audit
