package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/gestionale-fullstack/watchdog"

// listed is what we read of `go list -json`.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

// ours is the path inside the module, "" and false for others' packages.
func (p listed) ours() (string, bool) { return inside(p.ImportPath) }

func inside(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, module+"/")
}

// list asks the go command for every package of ours and all they depend on.
func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps", module+"/...")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, said.String())
	}
	var packages []listed
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// matches compares with one entry of a table.
func matches(entry, pkg string) bool {
	folder, all := strings.CutSuffix(entry, "...")
	if !all {
		return entry == pkg
	}
	folder = strings.TrimSuffix(folder, "/")
	return folder == "" || pkg == folder || strings.HasPrefix(pkg, folder+"/")
}

func matchesAny(entries []string, pkg string) bool {
	for _, entry := range entries {
		if matches(entry, pkg) {
			return true
		}
	}
	return false
}

func layerOf(pkg string) (layer, bool) {
	for _, l := range layers {
		if matches(l.pkg, pkg) {
			return l, true
		}
	}
	return layer{}, false
}

func TestImports_ArrowsPointDown(t *testing.T) {
	for _, p := range list(t) {
		pkg, ok := p.ours()
		if !ok {
			continue
		}
		l, known := layerOf(pkg)
		if !known {
			t.Errorf("%s has no line in the table of layers", pkg)
			continue
		}
		for _, imported := range p.Imports {
			other, ok := inside(imported)
			if ok && other != pkg && !matchesAny(l.may, other) {
				t.Errorf("%s imports %s: %s", pkg, other, l.reason)
			}
		}
	}
}

func TestImports_OutsidersStayInTheirRooms(t *testing.T) {
	for _, p := range list(t) {
		pkg, ok := p.ours()
		if !ok {
			continue
		}
		for _, imported := range p.Imports {
			for _, b := range bans {
				if matches(b.pkg, imported) && !matchesAny(b.only, pkg) {
					t.Errorf("%s imports %s: %s", pkg, imported, b.reason)
				}
			}
			for _, room := range pure {
				if room.pkg == pkg && matchesAny(room.not, imported) {
					t.Errorf("%s imports %s: %s", pkg, imported, room.reason)
				}
			}
		}
	}
}

func TestImports_TestCodeDoesNotShip(t *testing.T) {
	for _, p := range list(t) {
		pkg, ok := p.ours()
		if !ok || matches("testenv/...", pkg) {
			continue
		}
		for _, dep := range p.Deps {
			other, ok := inside(dep)
			if ok && matches("testenv/...", other) && !(other == "testenv/demo" && pkg == "cmd/watchdog") {
				t.Errorf("%s depends on %s: nothing in production does, save the command on testenv/demo", pkg, other)
			}
			if dep == "testing" {
				t.Errorf("%s depends on the package testing", pkg)
			}
		}
	}
}

func TestImports_DemoStaysSmall(t *testing.T) {
	packages := list(t)
	standard := map[string]bool{}
	for _, p := range packages {
		standard[p.ImportPath] = p.Standard
	}
	for _, p := range packages {
		if pkg, _ := p.ours(); pkg != "testenv/demo" {
			continue
		}
		for _, dep := range p.Deps {
			if _, ok := inside(dep); !ok && !standard[dep] && !matchesAny(demoPulls, dep) {
				t.Errorf("testenv/demo pulls in %s, which is not on its list", dep)
			}
		}
	}
}

// TestMatches keeps the tables from allowing everything by a slip of their own
// language.
func TestMatches(t *testing.T) {
	tests := []struct {
		entry, pkg string
		want       bool
	}{
		{"fence", "fence", true},
		{"fence", "fence/device", false},
		{"fence/...", "fence", true},
		{"fence/...", "fence/device", true},
		{"fence/...", "fences", false},
		{"...", "anything", true},
		{"watchdog", "cmd/watchdog", false},
	}
	for _, tt := range tests {
		if got := matches(tt.entry, tt.pkg); got != tt.want {
			t.Errorf("matches(%q, %q) = %v, want %v", tt.entry, tt.pkg, got, tt.want)
		}
	}
	for _, l := range layers {
		if l.reason == "" || path.Clean(l.pkg) != l.pkg {
			t.Errorf("layer %q: no reason, or no clean path", l.pkg)
		}
	}
}
