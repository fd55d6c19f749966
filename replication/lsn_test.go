package replication_test

import (
	"encoding/json"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication"
)

func TestParseLSN_Strict(t *testing.T) {
	for in, want := range map[string]replication.LSN{
		"0/0":               0,
		"0/16B3748":         0x16B3748,
		"4a/3c0151a0":       0x4A_3C0151A0,
		"1/0A":              0x1_0000000A,
		"FFFFFFFF/FFFFFFFF": 0xFFFFFFFF_FFFFFFFF,
	} {
		if got, err := replication.ParseLSN(in); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "/", "0", "0/", "/0", "0/16B3748zz", "0/16B3748 garbage", "1/1FFFFFFFF", "000000001/0", " 0/1", "0/1 ", "0/1\n",
		"+0/1", "0/-1", "0x0/1", "0/1/2", "0/\x00", "0/１",
	} {
		if got, err := replication.ParseLSN(in); err == nil {
			t.Errorf("%q accepted as %v", in, got)
		}
	}
}

func TestLSN_Since_NeverWrapsAround(t *testing.T) {
	for _, c := range []struct {
		a, b replication.LSN
		want uint64
	}{{10, 4, 6}, {4, 10, 0}, {4, 4, 0}, {^replication.LSN(0), 0, 1<<64 - 1}} {
		if got := c.a.Since(c.b); got != c.want {
			t.Errorf("%v since %v: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestSystemID_JSON_KeepsAllBits(t *testing.T) {
	const id replication.SystemID = 18446744073709551557
	b, err := json.Marshal(id)
	if err != nil || string(b) != `"18446744073709551557"` {
		t.Fatalf("%s, %v", b, err)
	}
	var back replication.SystemID
	if err := json.Unmarshal(b, &back); err != nil || back != id {
		t.Errorf("%v, %v", back, err)
	}
	for _, in := range []string{"", "-1", "1 ", "18446744073709551616", "0x1"} {
		if got, err := replication.ParseSystemID(in); err == nil {
			t.Errorf("%q accepted as %v", in, got)
		}
	}
}

func FuzzParseLSN(f *testing.F) {
	for _, s := range []string{"0/16B3748", "0/16B3748zz", "1/1FFFFFFFF", "FFFFFFFF/FFFFFFFF", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := replication.ParseLSN(s)
		if err != nil {
			return
		}
		if len(s) > 17 {
			t.Errorf("%q is longer than any LSN", s)
		}
		if back, err := replication.ParseLSN(v.String()); err != nil || back != v {
			t.Errorf("%q: %v came back as %v, %v", s, v, back, err)
		}
	})
}
