package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build (-ldflags "-X main.version=..."); empty takes the
// module's own version.
var version string

type versionDoc struct {
	V        int    `json:"v"`
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{Use: "version", Short: "print the version", Args: takes(), RunE: func(*cobra.Command, []string) error {
		d := versionInfo()
		if a.json {
			return a.printDoc(d)
		}
		a.out("pg-watchdog %s (%s)\n", d.Version, d.Go)
		return nil
	}}
}

func versionInfo() versionDoc {
	d := versionDoc{V: 1, Version: version, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return d
	}
	if d.Version == "" {
		d.Version = info.Main.Version
	}
	if d.Version == "" {
		d.Version = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			d.Revision = s.Value
		}
	}
	return d
}
