package config

import (
	"fmt"
	"net/mail"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/gestionale-fullstack/watchdog/alerts"
)

// scalar decodes one word. Types are strict: a number is no string and "yes"
// is no boolean, so that a slip is a finding and not another meaning.
func (d *decoder) scalar(n ast.Node, v reflect.Value, path string, anyScalar bool) {
	switch {
	case v.Type() == durationType:
		d.duration(n, v, path)
	case v.Type() == sizeType:
		d.size(n, v, path)
	case v.Type() == secretType:
		if s, ok := d.text(n, path, anyScalar); ok {
			v.Set(reflect.ValueOf(Secret{Name: s}))
		}
	case v.Kind() == reflect.String:
		if s, ok := d.text(n, path, anyScalar); ok {
			v.SetString(s)
		}
	case v.Kind() == reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.fail(where(n), path, "want true or false, found "+kindOf(n), "")
			return
		}
		v.SetBool(b.Value)
	case v.Kind() == reflect.Int:
		d.integer(n, v, path)
	default:
		d.fail(where(n), path, "this setting cannot be read from a file", "")
	}
}

func (d *decoder) text(n ast.Node, path string, anyScalar bool) (string, bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return d.clean(n, s.Value, path)
	case *ast.LiteralNode:
		return d.clean(n, strings.TrimSuffix(s.Value.Value, "\n"), path)
	case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode:
		if anyScalar {
			return n.GetToken().Value, true
		}
		d.fail(where(n), path, "want text, found "+kindOf(n), fmt.Sprintf("put it in quotes: %q", n.GetToken().Value))
		return "", false
	}
	d.fail(where(n), path, "want text, found "+kindOf(n), "")
	return "", false
}

// clean refuses control characters: no setting needs them, and they would
// reach terminals, mails and the agents' line-wise input.
func (d *decoder) clean(n ast.Node, s, path string) (string, bool) {
	if printable(s) != s {
		d.fail(where(n), path, "holds a line break or another control character", "write it on one line")
		return "", false
	}
	return s, true
}

func (d *decoder) integer(n ast.Node, v reflect.Value, path string) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		d.fail(where(n), path, "want a whole number, found "+kindOf(n), "")
		return
	}
	// The token is parsed again: the tree's value is a number of any width.
	x, err := strconv.ParseInt(strings.TrimPrefix(i.GetToken().Value, "+"), 10, 32)
	if err != nil {
		d.fail(where(n), path, fmt.Sprintf("%s is not a whole number of this setting's range", printable(i.GetToken().Value)), "")
		return
	}
	v.SetInt(x)
}

func (d *decoder) duration(n ast.Node, v reflect.Value, path string) {
	const hint = "a number and a unit: 500ms, 2s, 5m, 24h"
	switch s := n.(type) {
	case *ast.StringNode:
		t, err := time.ParseDuration(s.Value)
		if err != nil {
			d.fail(where(n), path, fmt.Sprintf("%q is not a duration", printable(s.Value)), hint)
			return
		}
		v.SetInt(int64(t))
	case *ast.IntegerNode, *ast.FloatNode:
		if n.GetToken().Value == "0" {
			v.SetInt(0)
			return
		}
		d.fail(where(n), path, fmt.Sprintf("the duration %s has no unit", n.GetToken().Value), hint)
	default:
		d.fail(where(n), path, "want a duration, found "+kindOf(n), hint)
	}
}

func (d *decoder) size(n ast.Node, v reflect.Value, path string) {
	const hint = "a number and a unit: 0B, 16kB, 16MiB"
	switch s := n.(type) {
	case *ast.StringNode:
		size, err := ParseSize(s.Value)
		if err != nil {
			d.fail(where(n), path, printable(err.Error()), hint)
			return
		}
		v.SetUint(uint64(size))
	case *ast.IntegerNode, *ast.FloatNode:
		if n.GetToken().Value == "0" {
			v.SetUint(0)
			return
		}
		d.fail(where(n), path, fmt.Sprintf("the size %s has no unit", n.GetToken().Value), hint)
	default:
		d.fail(where(n), path, "want a size, found "+kindOf(n), hint)
	}
}

// Addresses are mail addresses, written as a list or as one text with commas.
type Addresses []string

func (d *decoder) addresses(n ast.Node, v reflect.Value, path string) {
	var words []string
	if _, list := n.(*ast.SequenceNode); list {
		s := reflect.New(reflect.TypeFor[[]string]()).Elem()
		d.list(n, s, path)
		words, _ = s.Interface().([]string)
	} else if t, ok := d.text(n, path, false); ok {
		words = alerts.SplitRecipients(t)
	}
	var out Addresses
	for _, w := range words {
		a, ok := mailAddress(w)
		if !ok {
			d.fail(where(n), path, fmt.Sprintf("%q is not a mail address", printable(strings.TrimSpace(w))), "write name@domain, several with commas between")
			continue
		}
		same := func(other string) bool { return strings.EqualFold(other, a) }
		if !slices.ContainsFunc(out, same) { // one mail each, also who stands twice
			out = append(out, a)
		}
	}
	v.Set(reflect.ValueOf(out))
}

// mailAddress gives the bare address of what may carry a display name.
func mailAddress(s string) (string, bool) {
	a, err := mail.ParseAddress(strings.TrimSpace(s))
	if err != nil {
		return "", false
	}
	// Only the bare form is kept: it must be one by itself.
	_, err = mail.ParseAddress(a.Address)
	return a.Address, err == nil
}

// kindOf names what stands in the file, in words that its writer knows.
func kindOf(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a group of keys"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + printable(n.GetToken().Value)
	case *ast.BoolNode:
		return n.GetToken().Value
	case *ast.StringNode:
		return fmt.Sprintf("the text %q", printable(n.Value))
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.NullNode, nil:
		return "nothing"
	}
	return "something else"
}
