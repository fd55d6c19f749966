package alerts

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

func engineOn(db *bbolt.DB) (*Engine, error) {
	return NewEngine(Options{Node: "node-a", Cluster: "prod", DB: db, Log: zap.NewNop(), Catalogue: English()})
}

// filledStore is a store with incidents in it, closed.
func filledStore(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "watchdog.db")
	db := openStore(t, path)
	e, err := engineOn(db)
	if err != nil {
		t.Fatal(err)
	}
	var conditions []Condition
	for i := range 200 { // enough for several pages
		c := noPrimary()
		c.Subject = fmt.Sprintf("%0100d", i)
		conditions = append(conditions, c)
	}
	if _, err := e.Observe(time.Now(), conditions, PeerView{}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantRefused opens an engine on the store, wants an error that names the file,
// and wants not one byte of the file changed.
func wantRefused(t *testing.T, path string) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db := openStore(t, path)
	e, err := engineOn(db)
	if e != nil || !errors.Is(err, ErrStoreCorrupt) || !strings.Contains(err.Error(), path) {
		t.Errorf("engine %v, error %v: want ErrStoreCorrupt naming %s", e != nil, err, path)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the refused store was changed")
	}
}

func TestStore_RecordIsNotOurs_Refused(t *testing.T) {
	for name, spoil := range map[string]func(top *bbolt.Bucket) error{
		"broken json": func(b *bbolt.Bucket) error { return b.Bucket(bucketIncidents).Put([]byte("x\x00y"), []byte("{")) },
		"unknown state": func(b *bbolt.Bucket) error {
			return b.Bucket(bucketIncidents).Put([]byte("\x00"), []byte(`{"state":"mad"}`))
		},
		"under wrong key": func(b *bbolt.Bucket) error {
			return b.Bucket(bucketIncidents).Put([]byte("x\x00y"), []byte(`{"state":"firing"}`))
		},
		"broken spool": func(b *bbolt.Bucket) error { return b.Bucket(bucketSpool).Put([]byte("x"), []byte("nonsense")) },
		"later format": func(b *bbolt.Bucket) error { return b.Put(keyFormat, []byte("2")) },
		"no spool":     func(b *bbolt.Bucket) error { return b.DeleteBucket(bucketSpool) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filledStore(t)
			db := openStore(t, path)
			if err := db.Update(func(tx *bbolt.Tx) error { return spoil(tx.Bucket(bucketAlerts)) }); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, path)
		})
	}
}

func TestStore_DamagedPages_RefusedNotCrashed(t *testing.T) {
	path := filledStore(t)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	for i := 2 * page; i < len(raw); i++ { // both meta pages stay, so that the file opens
		raw[i] ^= 0xff
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, PreLoadFreelist: false, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := engineOn(db); !errors.Is(err, ErrStoreCorrupt) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want ErrStoreCorrupt naming the file", err)
	}
}

func TestStore_WritesRefused_PagesStillLeaveAndAreWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		log, lines := observedLog()
		n := newNode(t, "node-a", sink, func(o *Options) { o.Log = log })
		n.observe(PeerView{}, noPrimary())
		if err := n.db.Close(); err != nil { // from now on every write is refused
			t.Fatal(err)
		}
		var failed int
		for range 80 {
			if _, err := n.engine.Observe(time.Now(), []Condition{noPrimary()}, PeerView{}); err != nil {
				failed++
			}
			time.Sleep(500 * time.Millisecond)
		}
		if failed == 0 {
			t.Error("Observe hides that the store is not writable")
		}
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		if got := lines.FilterMessageSnippet("not writable").Len(); got != 1 {
			t.Errorf("%d log lines about the store, want 1", got)
		}
		n.engine.mu.Lock()
		n.db = openStore(t, n.path)
		n.engine.store = store{n.db}
		n.engine.mu.Unlock()
		n.observe(PeerView{}, noPrimary())
		n.halt()
		_ = n.db.Close()
		n.begin()
		n.watch(time.Minute, noPrimary())
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		n.halt()
	})
}

func TestStore_OtherBucketsInTheFile_AreLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "watchdog.db")
	db := openStore(t, path)
	defer func() { _ = db.Close() }()
	if err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("lag"))
		if err != nil {
			return err
		}
		return b.Put([]byte("k"), []byte("v"))
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := engineOn(db); err != nil {
		t.Fatal(err)
	}
	_ = db.View(func(tx *bbolt.Tx) error {
		if got := string(tx.Bucket([]byte("lag")).Get([]byte("k"))); got != "v" {
			t.Errorf("another room's record reads %q", got)
		}
		return nil
	})
}

func TestNewEngine_Incomplete_NamesWhatIsMissing(t *testing.T) {
	_, err := NewEngine(Options{})
	for _, want := range []string{"node name", "store", "logger", "catalogue"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name the %s", err, want)
		}
	}
	db := openStore(t, filepath.Join(t.TempDir(), "x.db"))
	defer func() { _ = db.Close() }()
	sink := &fakeSink{name: "mail"}
	good := Options{Node: "a", DB: db, Log: zap.NewNop(), Catalogue: English()}
	for want, edit := range map[string]func(*Options){
		"has no sink":      func(o *Options) { o.Routes = []Route{{}} },
		"has no recipient": func(o *Options) { o.Routes = []Route{{Sink: sink}} },
		"two routes": func(o *Options) {
			r := Route{Sink: sink, To: []Recipient{{Address: "a@b"}}}
			o.Routes = []Route{r, r}
		},
		"retry needs": func(o *Options) { o.Retry.Initial = time.Hour },
		"negative":    func(o *Options) { o.TakeOver = -1 },
	} {
		o := good
		edit(&o)
		if _, err := NewEngine(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
