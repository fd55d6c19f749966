// Package config reads the one file that both nodes share save its `node:` line:
// its shape, its defaults, strict decoding with line, column and caret, the
// relations between settings, and what a reload may change. It holds plain
// values and names of secret files, never a secret and never a running object.
package config
