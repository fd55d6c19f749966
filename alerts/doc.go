// Package alerts turns conditions into incidents and incidents into messages
// that arrive: holds, hold-down, inhibition, one message per recipient, a spool
// on disk with retry, and who of two services sends. It knows neither PostgreSQL
// nor gossip.
package alerts
