// Package lab runs docker-compose.test.yml: two hosts, a witness, the application
// and a mailbox in containers. It makes the images, the keys, the configuration and
// the two databases, starts everything, and removes it again. Its tests break it.
//
// Everything of it belongs to one compose project, and what compose did not make
// carries LabelLab: that is how Down finds what is ours, and nothing else.
package lab
