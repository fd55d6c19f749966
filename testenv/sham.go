package testenv

import "strings"

const shamCommand = "shampower"

func shamPowerMain() int { return 1 }

// quote makes one word of s for /bin/sh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
