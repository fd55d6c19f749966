package state_test

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Command{Name: "count", Run: countMain}, testenv.Command{Name: "journal", Run: journalMain})
}

// countMain raises the epoch of a state directory again and again, with a closed
// operation beside it, and prints each number once it is durable. Its arguments
// are the directory and how often; 0 goes on until it is killed.
func countMain() int {
	s := state.Open(os.Args[1], "db1")
	times, err := strconv.Atoi(os.Args[2])
	if err != nil {
		return 2
	}
	for n := 0; times == 0 || n < times; n++ {
		var made uint64
		err := s.Update(func(d fence.Durable) (fence.Durable, error) {
			d = raise(d)
			made = d.Epoch.Number
			return d, nil
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(made)
	}
	return 0
}

func raise(d fence.Durable) fence.Durable {
	d.SystemID, d.DataDirectory, d.Role = 7, "/data", replication.RolePrimary
	d.Epoch = fence.Epoch{Number: d.Epoch.Number + 1, ID: "x", Primary: "db1"}
	d.Intents = []fence.Intent{{Operation: fmt.Sprintf("op-%d", d.Epoch.Number), Owner: "db1"}}
	return d
}

// journalMain appends records to the journal of a state directory until one is
// refused, with files limited to the given size, and prints how many were
// accepted; then it tries once more.
func journalMain() int {
	signal.Ignore(syscall.SIGXFSZ)
	limit, err := strconv.ParseUint(os.Args[2], 10, 64)
	if err != nil || syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}) != nil {
		return 2
	}
	j := state.OpenJournal(os.Args[1])
	n := 1
	for j.Append(record("op-1", n)) == nil {
		n++
	}
	fmt.Println(n - 1)
	if j.Append(record("op-2", 1)) == nil || j.Broken() == nil {
		fmt.Fprintln(os.Stderr, "a broken journal takes records again")
		return 1
	}
	return 0
}

func record(operation string, seq int) runbooks.Record {
	return runbooks.Record{Format: runbooks.RecordFormat, Seq: seq, At: time.Unix(1_700_000_000, 0).UTC(), Operation: operation,
		Type: runbooks.RecordNote, Text: fmt.Sprintf("record %d", seq), Figures: map[string]int64{"lost_bytes": int64(seq)}}
}
