package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// required finds the module paths in go.mod.
var required = regexp.MustCompile(`(?m)^(?:require)?\s+([a-zA-Z0-9.-]+/\S+) v\S+`)

func TestContributing_NamesEveryModuleThatWeImport(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	var modules []string
	for _, match := range required.FindAllStringSubmatch(read("go.mod"), -1) {
		modules = append(modules, match[1])
	}
	text := read("CONTRIBUTING.md")
	seen := map[string]bool{}
	for _, s := range sources(t) {
		for _, spec := range s.file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			m := moduleOf(modules, imported)
			if m == "" || seen[m] {
				continue
			}
			seen[m] = true
			if !strings.Contains(text, "`"+m+"`") {
				t.Errorf("%s imports %s, and CONTRIBUTING.md does not say what it is for", s.name, m)
			}
		}
	}
	if len(seen) < 5 {
		t.Errorf("%d modules found: the test went astray", len(seen))
	}
}

// moduleOf is the required module that holds a package, the longest one when
// several do.
func moduleOf(modules []string, imported string) string {
	best := ""
	for _, m := range modules {
		if (imported == m || strings.HasPrefix(imported, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}
