// Package netlab gives tests whole sites whose nodes live in network namespaces
// of their own, joined by a bridge, so that their network can be broken as real
// ones break: cut in one direction or both, for one port, with loss, for some
// of those who talk. It needs root, iproute2 and nftables; without root its
// tests are skipped.
//
// The test process itself lives in a namespace made for it, which stands for
// the outside: clients, application, mail box and administrators. Nothing of the
// machine's own network is touched, and everything ends with the process.
package netlab
