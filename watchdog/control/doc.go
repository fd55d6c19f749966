// Package control carries commands and evidence: HTTP+JSON on a local unix
// socket for the operator's commands, and HTTP+JSON over mutual TLS pinned to
// node keys between the services. It offers typed endpoints, the servers and the
// client; what an endpoint does is the caller's function. It decides nothing.
package control
