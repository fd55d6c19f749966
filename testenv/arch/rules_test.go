package arch

import (
	"go/ast"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestHouse_EveryRuleNamesTestsThatExist holds the table of CONTRIBUTING.md
// against the tree: a safety rule whose attacking test was renamed or removed
// would otherwise look attacked.
func TestHouse_EveryRuleNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## The safety rules and the tests that attack them")
	if !found {
		t.Fatal("CONTRIBUTING.md has no table of the safety rules")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	exists := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.isTest() {
				exists[f.Name.Name] = true
			}
		}
	}
	names := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllStringSubmatch(section, -1)
	if len(names) < 20 {
		t.Fatalf("only %d tests are named", len(names))
	}
	for _, n := range names {
		if !exists[n[1]] {
			t.Errorf("no test %s in the tree", n[1])
		}
	}
}
