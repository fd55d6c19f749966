package config

import (
	"testing"

	"pgregory.net/rapid"
)

func TestParseSize(t *testing.T) {
	for in, want := range map[string]Size{
		"0B": 0, "0": 0, "16kB": 16000, "16KiB": 16384, "16kib": 16384, "12 kB": 12000,
		"1.5MiB": 1572864, "16MiB": 16 << 20, "1TB": 1e12, "0.5B": 0, " 7B ": 7,
		"18446744073709551615B": 18446744073709551615,
	} {
		got, err := ParseSize(in)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "kB", "16", "-1B", "1e3B", "16 blocks", "1.2.3kB", "18446744073709551616B", "99999999TiB", "1,5kB", ".kB"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", in, got)
		}
	}
}

func TestSize_StringReadsBackUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Size(rapid.Uint64().Draw(t, "bytes"))
		got, err := ParseSize(s.String())
		if err != nil || got != s {
			t.Fatalf("ParseSize(%q) = %d, %v; want %d", s, got, err, s)
		}
	})
}

func TestSuggest(t *testing.T) {
	known := []string{"data_dir", "driver", "unit", "log_file", "port"}
	for word, want := range map[string]string{"datadir": "data_dir", "diver": "driver", "prot": "port", "quorum": "", "x": ""} {
		if got := Suggest(word, known); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", word, got, want)
		}
	}
}
