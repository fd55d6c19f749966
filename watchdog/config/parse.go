package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFileBytes bounds what is parsed; a real file has a few kilobytes.
const maxFileBytes = 256 << 10

// parse turns the text into the tree of its only document; nil when the file
// is empty. A panic of the parser becomes a finding: it has had some on
// malformed input, and a service must survive the file it reloads.
func (d *decoder) parse(text []byte) (root ast.Node) {
	defer d.survive()
	// Duplicate keys are found by the decoder, which then still reports the rest.
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil
	}
	for _, doc := range file.Docs {
		if doc == nil || doc.Body == nil {
			continue
		}
		if root != nil {
			d.fail(where(doc.Body), "", "a second YAML document begins here", "keep everything in one document, without ---")
			break
		}
		root = doc.Body
	}
	return root
}

// fill decodes the document into c, and survives a tree that the parser left
// incomplete.
func (d *decoder) fill(root ast.Node, c *Config) {
	defer d.survive()
	d.value(root, reflect.ValueOf(c).Elem(), "", false)
}

func (d *decoder) survive() {
	if r := recover(); r != nil {
		d.fail(position{}, "", "not readable as YAML (the parser gave up: "+firstLine(fmt.Sprint(r))+")", "")
	}
}

func (d *decoder) syntax(err error) {
	var y yaml.Error
	if !errors.As(err, &y) {
		d.fail(position{}, "", "not readable as YAML: "+firstLine(err.Error()), "")
		return
	}
	var at position
	if t := y.GetToken(); t != nil && t.Position != nil {
		at = position{t.Position.Line, t.Position.Column}
	}
	hint := ""
	if at.line > 0 && at.line <= len(d.lines) && strings.ContainsRune(d.lines[at.line-1], '\t') {
		hint = "YAML is indented with blanks, never with tabs"
	}
	d.fail(at, "", "not readable as YAML: "+firstLine(y.GetMessage()), hint)
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return printable(s)
}

// position is a place in the file; the zero value is the file as a whole.
type position struct{ line, column int }

func where(n ast.Node) position {
	switch m := n.(type) {
	case nil:
		return position{}
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return where(m.Values[0])
		}
	case *ast.MappingValueNode:
		return where(m.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return position{t.Position.Line, t.Position.Column}
	}
	return position{}
}
