package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Sizes, in lines. A file holds one idea; a test file may hold a longer table.
const (
	fileLines     = 350
	testFileLines = 600
	functionLines = 80
)

// exits are the only files that may end the process: everything else returns.
var exits = []string{"cmd/watchdog/main.go", "testenv/main.go", "testenv/program.go", "testenv/lab/labctl/main.go", "testenv/lab/labtool/main.go"}

// source is one parsed Go file of ours.
type source struct {
	name string // from the module's root, with slashes
	file *ast.File
	set  *token.FileSet
}

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

func (s source) lines(n ast.Node) int {
	return s.set.Position(n.End()).Line - s.set.Position(n.Pos()).Line + 1
}

func (s source) imports(pkg string) bool {
	return slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == strconv.Quote(pkg) })
}

func (s source) at(n ast.Node) string { return s.set.Position(n.Pos()).String() }

// sources parses every Go file of the module, whatever its build tags.
func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var all []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"testdata", "bin", "vendor"}, d.Name())) {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(root, name)
		all = append(all, source{filepath.ToSlash(short), file, set})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("%d Go files found: the walk went astray", len(all))
	}
	return all
}

func TestHouse_FilesAndFunctionsAreShort(t *testing.T) {
	for _, s := range sources(t) {
		limit := fileLines
		if s.isTest() {
			limit = testFileLines
		}
		if n := s.set.File(s.file.Pos()).LineCount(); n > limit {
			t.Errorf("%s has %d lines, over %d: split it by idea", s.name, n, limit)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && !s.isTest() && s.lines(f) > functionLines {
				t.Errorf("%s: %s has %d lines, over %d", s.at(f), f.Name.Name, s.lines(f), functionLines)
			}
		}
	}
}

func TestHouse_EveryPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		dir := path.Dir(s.name)
		want := "Package " + s.file.Name.Name
		if s.file.Name.Name == "main" {
			want = "" // a command's comment begins as its author likes
		}
		documented[dir] = documented[dir] || s.file.Doc != nil && strings.HasPrefix(s.file.Doc.Text(), want)
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestHouse_EveryExportedNameIsDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil {
					t.Errorf("%s: %s has no comment", s.at(d), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if name, ok := undocumented(d, spec); !ok {
						t.Errorf("%s: %s has no comment", s.at(spec), name)
					}
				}
			}
		}
	}
}

// exportedReceiver is true for functions and for methods of exported types.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return true
	}
	kind := f.Recv.List[0].Type
	for {
		switch k := kind.(type) {
		case *ast.StarExpr:
			kind = k.X
		case *ast.IndexExpr:
			kind = k.X
		case *ast.IndexListExpr:
			kind = k.X
		case *ast.Ident:
			return k.IsExported()
		default:
			return true
		}
	}
}

// undocumented names an exported type, constant or variable without a comment
// of its own, behind it, or of its block.
func undocumented(d *ast.GenDecl, spec ast.Spec) (string, bool) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return s.Name.Name, !s.Name.IsExported() || s.Doc != nil || s.Comment != nil || d.Doc != nil
	case *ast.ValueSpec:
		documented := s.Doc != nil || s.Comment != nil || d.Doc != nil
		for _, name := range s.Names {
			if name.IsExported() && !documented {
				return name.Name, false
			}
		}
	}
	return "", true
}

func TestHouse_NothingSleepsInTests(t *testing.T) {
	for _, s := range sources(t) {
		if !s.isTest() || s.imports("testing/synctest") {
			continue // in a bubble time is not real, and a sleep costs nothing
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if isCall(n, "time", "Sleep") {
				t.Errorf("%s: time.Sleep; use testenv.Wait or a synctest bubble", s.at(n))
			}
			return true
		})
	}
}

func TestHouse_OnlyMainEndsTheProcess(t *testing.T) {
	for _, s := range sources(t) {
		if slices.Contains(exits, s.name) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncDecl); ok && s.isTest() && f.Name.Name == "TestMain" {
				return false // where a test binary chooses to be another program
			}
			if isCall(n, "os", "Exit") || isCall(n, "log", "Fatal") || isCall(n, "log", "Fatalf") {
				t.Errorf("%s: ends the process; return instead, so that undo runs", s.at(n))
			}
			return true
		})
	}
}

func isCall(n ast.Node, pkg, name string) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return false
	}
	id, ok := selector.X.(*ast.Ident)
	return ok && id.Name == pkg
}

func TestHouse_NamesThatSayNothing(t *testing.T) {
	for _, s := range sources(t) {
		for _, part := range strings.Split(path.Dir(s.name), "/") {
			if slices.Contains([]string{"pkg", "util", "utils", "common", "helpers", "misc"}, part) {
				t.Errorf("%s: a folder named %q is a grab-bag", s.name, part)
			}
		}
	}
	if _, err := os.Stat(filepath.Join("..", "..", "go.mod")); err != nil {
		t.Errorf("the module's root is not where these tests look: %v", err)
	}
}
