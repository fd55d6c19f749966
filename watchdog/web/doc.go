// Package web is the read-only side: metrics, health, the roles for load
// balancers, and the status document. It takes GET and HEAD only, has no login,
// and changes nothing.
package web
