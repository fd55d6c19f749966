package pgctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// unitDirs are where a manager reads drop-ins, the first wins over the later
// ones of the same name (systemd.unit(5), Unit File Load Path).
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// gateLine is a start of the boot gate before the server's own.
var gateLine = regexp.MustCompile(`(?m)^\s*ExecStartPre=[-+!:@]*\S*watchdog\s+gate(\s|$)`)

// GateHook finds the drop-in that puts the boot gate before a unit, below root
// ("/" but in tests). Empty: there is none. It reads files and asks no manager:
// what was written after the last daemon-reload shows already.
func GateHook(root, unit string) (string, error) {
	if !unitName.MatchString(unit) {
		return "", fmt.Errorf("find gate of unit: %w: unit name %q", ErrRefused, unit)
	}
	folders := []string{unit + ".d"}
	if at := strings.IndexByte(unit, '@'); at >= 0 {
		folders = append(folders, unit[:at+1]+".service.d")
	}
	var seen []string
	for _, dir := range unitDirs {
		for _, folder := range folders {
			hook, err := gateIn(filepath.Join(root, dir, folder), folder, &seen)
			if hook != "" || err != nil {
				return hook, err
			}
		}
	}
	return "", nil
}

// gateIn looks into one folder of drop-ins. A name that was seen before, in a
// folder that goes first, hides this one, as an empty file does to switch it off.
func gateIn(dir, folder string, seen *[]string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	if err != nil {
		return "", fmt.Errorf("find gate of unit: %w", err)
	}
	for _, file := range files {
		name := folder + "/" + filepath.Base(file)
		if slices.Contains(*seen, name) {
			continue
		}
		*seen = append(*seen, name)
		text, err := os.ReadFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", fmt.Errorf("find gate of unit: %w", err)
		case gateLine.Match(text):
			return file, nil
		}
	}
	return "", nil
}
