package config

import (
	"fmt"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// maxFindings bounds how many findings one load reports: after that many the
// file is something else.
const maxFindings = 20

// decoder fills a Config from the syntax tree and collects findings instead of
// stopping at the first. It remembers where each setting stands, so that later
// checks of ranges and relations can point at it.
type decoder struct {
	file  string
	lines []string
	at    map[string]position
	errs  Errors
}

func newDecoder(file string, text []byte) *decoder {
	return &decoder{
		file:  file,
		lines: strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"), "\n"),
		at:    map[string]position{},
	}
}

func (d *decoder) fail(at position, path, reason, hint string) {
	if len(d.errs) >= maxFindings {
		return
	}
	d.errs = append(d.errs, &Error{
		File: d.file, Line: at.line, Column: at.column, Path: path, Reason: reason, Hint: hint,
		Excerpt: excerpt(d.lines, at.line, at.column),
	})
}

// err gives what was found, in the order of the file; nil when nothing was.
func (d *decoder) err() error {
	switch len(d.errs) {
	case 0:
		return nil
	case 1:
		return d.errs[0]
	}
	sort.SliceStable(d.errs, func(i, j int) bool { return d.errs[i].Line < d.errs[j].Line })
	return d.errs
}

// find gives where a setting stands, or its nearest parent that does.
func (d *decoder) find(path string) position {
	for path != "" {
		if p, ok := d.at[path]; ok {
			return p
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			break
		}
		path = path[:i]
	}
	return position{}
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
	secretType   = reflect.TypeFor[Secret]()
	addressType  = reflect.TypeFor[Addresses]()
)

// value decodes one node into v. A null keeps the default.
func (d *decoder) value(n ast.Node, v reflect.Value, path string, scalars bool) {
	if refused := d.unsupported(n, path); refused {
		return
	}
	if _, null := n.(*ast.NullNode); null || n == nil {
		return
	}
	if _, known := d.at[path]; !known || isScalar(n) {
		d.at[path] = where(n)
	}
	switch {
	case v.Type() == addressType:
		d.addresses(n, v, path)
	case v.Type() == durationType, v.Type() == sizeType, v.Type() == secretType:
		d.scalar(n, v, path, false)
	case v.Kind() == reflect.Struct:
		d.object(n, v, path)
	case v.Kind() == reflect.Map:
		d.table(n, v, path, scalars)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path)
	default:
		d.scalar(n, v, path, scalars)
	}
}

func isScalar(n ast.Node) bool {
	_, ok := n.(ast.ScalarNode)
	return ok
}

// unsupported refuses the parts of YAML that hide what a file says.
func (d *decoder) unsupported(n ast.Node, path string) bool {
	what := ""
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		what = "anchors, aliases and merge keys are not read"
	case *ast.TagNode:
		what = "tags are not read"
	default:
		return false
	}
	d.fail(where(n), path, what, "write the value out")
	return true
}

// pairs gives the entries of a mapping after refusing keys that come twice.
func (d *decoder) pairs(n ast.Node, path string) []pair {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		d.fail(where(n), path, "want a group of keys, found "+kindOf(n), "")
		return nil
	}
	var out []pair
	seen := map[string]position{}
	for _, v := range values {
		at := where(v.Key)
		name, ok := keyName(v.Key)
		if !ok {
			d.fail(at, path, "this kind of key is not read", "write plain keys: name: value")
			continue
		}
		if first, twice := seen[name]; twice {
			d.fail(at, join(path, name), fmt.Sprintf("this key stands twice, first in line %d", first.line), "keep one of the two")
			continue
		}
		seen[name] = at
		out = append(out, pair{name: name, at: at, node: v.Value})
	}
	return out
}

type pair struct {
	name string
	at   position
	node ast.Node
}

func keyName(k ast.MapKeyNode) (string, bool) {
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode:
		return k.GetToken().Value, true
	}
	return "", false
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (d *decoder) object(n ast.Node, v reflect.Value, path string) {
	fields := fieldsOf(v.Type())
	for _, p := range d.pairs(n, path) {
		f, ok := fields[p.name]
		if !ok {
			d.unknownKey(p, path, fields)
			continue
		}
		sub := join(path, p.name)
		d.at[sub] = p.at
		d.value(p.node, v.Field(f.index), sub, f.scalars)
	}
}

func (d *decoder) unknownKey(p pair, path string, fields map[string]field) {
	known := make([]string, 0, len(fields))
	for name := range fields {
		known = append(known, name)
	}
	sort.Strings(known)
	hint := "known keys: " + strings.Join(known, ", ")
	if s := Suggest(p.name, known); s != "" {
		hint = fmt.Sprintf("did you mean %q?", s)
	}
	if _, ok := fields[p.name+"_file"]; ok {
		hint = fmt.Sprintf("secrets are read from files only: write it to a file of mode 0600 and name that file in %q", p.name+"_file")
	}
	d.fail(p.at, path, fmt.Sprintf("unknown key %q", printable(p.name)), hint)
}

func (d *decoder) table(n ast.Node, v reflect.Value, path string, scalars bool) {
	pairs := d.pairs(n, path)
	out := reflect.MakeMapWithSize(v.Type(), len(pairs))
	for _, p := range pairs {
		sub := join(path, p.name)
		d.at[sub] = p.at
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(p.node, e, sub, scalars)
		out.SetMapIndex(reflect.ValueOf(p.name), e)
	}
	v.Set(out)
}

func (d *decoder) list(n ast.Node, v reflect.Value, path string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fail(where(n), path, "want a list, found "+kindOf(n), "write [a, b], or one - per line")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values))
	for i, item := range s.Values {
		d.value(item, out.Index(i), fmt.Sprintf("%s[%d]", path, i), false)
	}
	v.Set(out)
}

// field is one key of a group.
type field struct {
	index   int
	scalars bool // numbers and booleans are taken as the text that they are
}

func fieldsOf(t reflect.Type) map[string]field {
	out := make(map[string]field, t.NumField())
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("yaml")
		name, opt, _ := strings.Cut(tag, ",")
		if name == "" || name == "-" {
			continue
		}
		out[name] = field{index: i, scalars: opt == "scalars"}
	}
	return out
}
