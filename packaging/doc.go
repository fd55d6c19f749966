// Package packaging holds what an installation consists of: the units, the gate
// drop-in, and the scripts install and uninstall. It has no code of its own;
// its tests hold the units to systemd-analyze and install into a folder.
package packaging
