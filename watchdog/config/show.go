package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Show writes the configuration with every default that applies, as a file
// that loads again. Secrets appear as the names of their files.
func (c *Config) Show() string {
	var b strings.Builder
	writeGroup(&b, reflect.ValueOf(*c), "")
	return b.String()
}

// MarshalJSON gives the same settings by the same names: durations and sizes as
// the text that the file would hold, secrets as the names of their files.
func (c *Config) MarshalJSON() ([]byte, error) { return json.Marshal(plain(reflect.ValueOf(*c))) }

// keysOf lists the keys of a group in the order of its type, of a table sorted.
func keysOf(v reflect.Value) (names []string, values []reflect.Value) {
	if v.Kind() == reflect.Map {
		for _, k := range slices.Sorted(maps.Keys(mapKeys(v))) {
			names = append(names, k)
			values = append(values, v.MapIndex(reflect.ValueOf(k)))
		}
		return names, values
	}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		names = append(names, name)
		values = append(values, v.Field(i))
	}
	return names, values
}

func mapKeys(v reflect.Value) map[string]bool {
	out := make(map[string]bool, v.Len())
	for _, k := range v.MapKeys() {
		out[k.String()] = true
	}
	return out
}

// isGroup reports whether a value has keys of its own.
func isGroup(v reflect.Value) bool {
	return v.Kind() == reflect.Map || v.Kind() == reflect.Struct && v.Type() != secretType
}

func writeGroup(b *strings.Builder, v reflect.Value, indent string) {
	names, values := keysOf(v)
	for i, name := range names {
		e := values[i]
		switch {
		case isGroup(e):
			if sub, _ := keysOf(e); len(sub) == 0 {
				fmt.Fprintf(b, "%s%s: {}\n", indent, name)
				continue
			}
			fmt.Fprintf(b, "%s%s:\n", indent, name)
			writeGroup(b, e, indent+"  ")
		case e.Kind() == reflect.Slice && e.Len() > 0 && isGroup(e.Index(0)):
			fmt.Fprintf(b, "%s%s:\n", indent, name)
			for j := range e.Len() {
				var item strings.Builder
				writeGroup(&item, e.Index(j), indent+"    ")
				b.WriteString(indent + "  - " + strings.TrimPrefix(item.String(), indent+"    "))
			}
		default:
			fmt.Fprintf(b, "%s%s: %s\n", indent, name, word(e))
		}
	}
}

// word writes one value on one line. Text is always quoted: YAML has too many
// words that look like something else.
func word(v reflect.Value) string {
	switch v.Type() {
	case durationType, sizeType:
		return textOf(v)
	}
	switch v.Kind() {
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = word(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Bool, reflect.Int:
		return textOf(v)
	}
	return strconv.Quote(textOf(v))
}

// textOf gives a value as text without quotes.
func textOf(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return shortDuration(x)
	case fmt.Stringer:
		return x.String()
	}
	return fmt.Sprint(v.Interface())
}

// shortDuration drops the zero parts that time.Duration prints: 2m0s is 2m.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// plain turns a value into what encoding/json knows how to write.
func plain(v reflect.Value) any {
	switch {
	case v.Type() == durationType, v.Type() == sizeType, v.Type() == secretType:
		return textOf(v)
	case isGroup(v):
		names, values := keysOf(v)
		out := make(map[string]any, len(names))
		for i, n := range names {
			out[n] = plain(values[i])
		}
		return out
	case v.Kind() == reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plain(v.Index(i))
		}
		return out
	}
	return v.Interface()
}
