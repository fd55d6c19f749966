package pgctl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGateHook_WhereTheDropInLies(t *testing.T) {
	packaged, err := os.ReadFile(filepath.Join("..", "..", "packaging", "postgresql@.service.d", "pg-watchdog-gate.conf"))
	if err != nil {
		t.Fatal(err)
	}
	gate := string(packaged)
	const unit = "postgresql@15-main.service"
	for name, c := range map[string]struct {
		files map[string]string
		found bool
	}{
		"nowhere":             {nil, false},
		"of the cluster":      {map[string]string{"etc/systemd/system/postgresql@15-main.service.d/pg-watchdog-gate.conf": gate}, true},
		"of the template":     {map[string]string{"usr/lib/systemd/system/postgresql@.service.d/g.conf": gate}, true},
		"of another cluster":  {map[string]string{"etc/systemd/system/postgresql@16-main.service.d/g.conf": gate}, false},
		"another drop-in":     {map[string]string{"etc/systemd/system/postgresql@15-main.service.d/x.conf": "[Service]\nRestart=no\n"}, false},
		"written as comment":  {map[string]string{"etc/systemd/system/postgresql@15-main.service.d/x.conf": "# ExecStartPre=/usr/bin/pg-watchdog gate\n"}, false},
		"hidden by an empty":  {map[string]string{"usr/lib/systemd/system/postgresql@.service.d/g.conf": gate, "etc/systemd/system/postgresql@.service.d/g.conf": ""}, false},
		"gate that may fail":  {map[string]string{"etc/systemd/system/postgresql@15-main.service.d/x.conf": "[Service]\nExecStartPre=-/usr/bin/pg-watchdog gate --config x\n"}, true},
		"no file of a unit":   {map[string]string{"etc/systemd/system/postgresql@15-main.service.d/README": gate}, false},
		"program of the name": {map[string]string{"etc/systemd/system/postgresql@15-main.service.d/x.conf": "[Service]\nExecStartPre=/usr/local/bin/watchdog gate\n"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range c.files {
				full := filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := GateHook(root, unit)
			if err != nil || (got != "") != c.found || got != "" && !strings.HasPrefix(got, root) {
				t.Errorf("hook %q, %v, want found: %t", got, err, c.found)
			}
		})
	}
	if _, err := GateHook(t.TempDir(), "../../x"); err == nil {
		t.Error("a path was taken for a unit")
	}
}
