package state

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
)

// Every single flipped bit is noticed, or changes nothing that is read.
func TestStateFile_AnyFlippedBit_IsNoticedOrHarmless(t *testing.T) {
	at := time.Unix(1_700_000_000, 0).UTC()
	want := fenceHalf(fence.Durable{Marker: &fence.Marker{Operation: "fence-1", Epoch: fence.Epoch{Number: 4, ID: "four", Primary: "db1"}, SetAt: at},
		Orders: []fence.Order{{Operation: "fence-1", Node: "db1", Issuer: "db2", Obeyed: true, IssuedAt: at}}, Closed: []fence.Closed{{Operation: "old", Result: fence.ResultDone, At: at}}})
	path := filepath.Join(t.TempDir(), FenceFile)
	if err := writeFile(path, want); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(whole) * 8 {
		b := append([]byte(nil), whole...)
		b[bit/8] ^= 1 << (bit % 8)
		var got fenceData
		if decode(b, &got) == nil && !reflect.DeepEqual(want, got) {
			t.Fatalf("byte %d (%q to %q) changed what is read: %+v", bit/8, whole[bit/8], b[bit/8], got)
		}
	}
}

// Whatever the bytes are: no panic, and what is accepted is accepted again, as
// the same, when it is written anew.
func FuzzStateFile(f *testing.F) {
	data, err := json.Marshal(fenceHalf(fence.Durable{Marker: &fence.Marker{Operation: "fence-1"}, Orders: []fence.Order{{Operation: "o", Node: "db1"}}}))
	if err != nil {
		f.Fatal(err)
	}
	whole, err := json.Marshal(envelope{Format: fileFormat, Sum: sum(data), Data: data})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(`{"v":1,"crc32c":"00000000","data":null}`))
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, again fenceData
		if decode(b, &got) != nil {
			return
		}
		data, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := json.Marshal(envelope{Format: fileFormat, Sum: sum(data), Data: data})
		if err != nil {
			t.Fatal(err)
		}
		if err := decode(whole, &again); err != nil || !reflect.DeepEqual(must(json.Marshal(got)), must(json.Marshal(again))) {
			t.Fatalf("%v: %+v, then %+v", err, got, again)
		}
	})
}

func FuzzJournal(f *testing.F) {
	line, err := encodeLine(runbooks.Record{Format: runbooks.RecordFormat, Seq: 1, Operation: "op-1", Type: runbooks.RecordNote})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(line[:len(line)-1])
	f.Add([]byte("\n"))
	f.Add([]byte("{}\n{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		recs, err := decodeJournal(b)
		if err != nil {
			return
		}
		var anew []byte
		for n, r := range recs {
			if r.Seq != n+1 || r.Operation != recs[0].Operation {
				t.Fatalf("record %d is %+v", n+1, r)
			}
			line, err := encodeLine(r)
			if err != nil {
				t.Fatal(err)
			}
			anew = append(anew, line...)
		}
		if _, err := decodeJournal(anew); err != nil {
			t.Fatalf("written anew: %v", err)
		}
	})
}

func must(b []byte, err error) string {
	if err != nil {
		return err.Error()
	}
	return string(b)
}
