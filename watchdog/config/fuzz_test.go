package config

import (
	"errors"
	"testing"
)

// FuzzParse holds that any text either loads to something that shows and loads
// again unchanged, or is refused with findings that point into the file.
func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(exampleMinimal))
	f.Add([]byte(exampleFull))
	for _, text := range badInputs {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("fuzz.yaml", text, Options{SkipSecrets: true})
		if err != nil {
			checkFindings(t, text, err)
			return
		}
		again, err := Parse("fuzz.yaml", []byte(c.Show()), Options{SkipSecrets: true})
		if err != nil {
			t.Fatalf("shown, it does not load: %v\n%s", err, c.Show())
		}
		if changes := Diff(c, again); len(changes) > 0 {
			t.Fatalf("shown and loaded again, it differs: %v", changes)
		}
	})
}

func checkFindings(t *testing.T, text []byte, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is no finding: %v", err, err)
	}
	if e.Reason == "" || e.Line < 0 || e.Line > len(newDecoder("", text).lines)+1 {
		t.Fatalf("finding without reason or outside the file: %+v", e)
	}
}
