package observe_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// impostor listens where PostgreSQL should and says what the test wants.
type impostor struct {
	serve func(net.Conn) // replaces the honest login and answers

	mu       sync.Mutex
	system   string // system identifier
	timeline int
	position string
	standby  bool
	history  string // text of the timeline's history file
	pid      uint32 // process that the login tells of
	backend  string // process in which the session says it runs; empty: not told
}

const (
	ours    = "7312345678901234567"
	another = "7399999999999999999"
)

func (i *impostor) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// session plays one connection with pgproto3, by hand.
func (i *impostor) session(c net.Conn) {
	if i.serve != nil {
		i.serve(c)
		return
	}
	b := pgproto3.NewBackend(c, c)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	i.set(func() { b.Send(&pgproto3.BackendKeyData{ProcessID: i.pid, SecretKey: []byte{1, 2, 3, 4}}) })
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for b.Flush() == nil {
		msg, err := b.Receive()
		if err != nil {
			return
		}
		if q, ok := msg.(*pgproto3.Query); ok {
			i.set(func() { i.answer(b, q.String) })
		}
	}
}

func (i *impostor) answer(b *pgproto3.Backend, q string) {
	switch {
	case q == "IDENTIFY_SYSTEM":
		oneRow(b, i.system, fmt.Sprint(i.timeline), i.position, "postgres")
	case strings.HasPrefix(q, "TIMELINE_HISTORY"):
		oneRow(b, fmt.Sprintf("%08X.history", i.timeline), i.history)
	case strings.HasPrefix(q, "SELECT r,") && i.standby: // role, and what is replayed
		oneRow(b, "t", i.position)
	case strings.HasPrefix(q, "SELECT r,"):
		oneRow(b, "f", "")
	case q == "SELECT pg_backend_pid()" && i.backend != "":
		oneRow(b, i.backend)
	default:
		b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "42501", Message: "permission denied"})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	}
}

func oneRow(b *pgproto3.Backend, values ...string) {
	var desc pgproto3.RowDescription
	var row pgproto3.DataRow
	for n, v := range values {
		desc.Fields = append(desc.Fields, pgproto3.FieldDescription{Name: fmt.Appendf(nil, "c%d", n), DataTypeOID: 25})
		if v == "" {
			row.Values = append(row.Values, nil) // NULL
			continue
		}
		row.Values = append(row.Values, []byte(v))
	}
	b.Send(&desc)
	b.Send(&row)
	b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
}

// listen serves until the test ends.
func (i *impostor) listen(t *testing.T) replication.Target {
	t.Helper()
	return replication.Target{Host: "127.0.0.1", Port: testenv.Impostor(t, i.session), User: "x", Database: "x", SSLMode: "disable"}
}

func primary() *impostor { return &impostor{system: ours, timeline: 1, position: "0/5000000"} }
func standby() *impostor {
	return &impostor{system: ours, timeline: 1, position: "0/5000000", standby: true}
}

// seenBy is a service that has watched db1 and db2 for an hour, with what it
// would say now.
type seenBy struct{ *observe.Observer }

func watchImpostors(t *testing.T, one, two *impostor) seenBy {
	t.Helper()
	o := observe.Options{Node: "db2", Boot: "boot"}
	for i, to := range []replication.Target{one.listen(t), two.listen(t)} {
		o.Servers = append(o.Servers, observe.Server{Node: fmt.Sprintf("db%d", i+1), Watch: observe.PostgreSQL(to, replication.WatchOptions{
			Period: 100 * time.Millisecond, SQLPeriod: 200 * time.Millisecond})})
	}
	return seenBy{running(t, o)}
}

func (s seenBy) now(t *testing.T) ([]string, view.Report) {
	t.Helper()
	b, err := view.Encode(s.Report())
	if err != nil {
		t.Fatal(err)
	}
	r, err := view.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	board := view.NewBoard("pair", "db2", []view.NodeInfo{{Name: "db1"}, {Name: "db2"}}, now.Add(-time.Hour))
	board.Put(r, now)
	var codes []string
	v := board.View(now)
	in := view.StatusInput{View: v, Limits: view.DefaultLimits(), At: now}
	for _, c := range view.Judge(v, view.DefaultLimits(), now) {
		codes = append(codes, c.Code+"/"+c.Subject)
		in.Open = append(in.Open, view.Opened(c, time.Minute, c.Hold == 0, ""))
	}
	st := view.BuildStatus(in)
	return append(codes, "state "+st.State), r
}

// until waits for a condition, and for the verdict on db1.
func (s seenBy) until(t *testing.T, condition string, verdict replication.Verdict, cause string) {
	t.Helper()
	testenv.Wait(t, limit, condition+" and "+verdict.String(), func() (bool, string) {
		codes, r := s.now(t)
		one := r.Servers[0]
		return slices.Contains(codes, condition) && one.Verdict == verdict && (cause == "" || one.Cause == cause),
			fmt.Sprintf("%v; db1 is %s (%s: %s)", codes, one.Verdict, one.Cause, one.Detail)
	})
}

// TestHostile_ServerThatIsNone_IsNeverHealthy has a name for each.
func TestHostile_ServerThatIsNone_IsNeverHealthy(t *testing.T) {
	t.Parallel()
	raw := func(answer string) func(net.Conn) {
		return func(c net.Conn) {
			buf := make([]byte, 4096)
			if _, err := c.Read(buf); err == nil {
				_, _ = c.Write([]byte(answer))
			}
		}
	}
	mute := func(c net.Conn) {
		buf := make([]byte, 4096)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}
	refuse := func(c net.Conn) {
		b := pgproto3.NewBackend(c, c)
		if _, err := b.ReceiveStartupMessage(); err == nil {
			b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "08P01", Message: "unsupported startup parameter: replication"})
			_ = b.Flush()
		}
	}
	for name, c := range map[string]struct {
		bad       *impostor
		condition string
		verdict   replication.Verdict
		cause     string
	}{
		"takes connections and never answers": {&impostor{serve: mute}, "NoPrimary/pair", replication.VerdictHung, replication.CauseTimeout},
		"answers garbage":                     {&impostor{serve: raw("\x01\x02 what\xff\xfe\x00\x00\x00\x00")}, "NoSample/db1", replication.VerdictUnknown, replication.CauseProtocol},
		"closes in the middle of a message":   {&impostor{serve: raw("R\x00\x00\x00\x08\x00")}, "NoSample/db1", replication.VerdictUnknown, replication.CauseClosed},
		"a pooler that knows no replication":  {&impostor{serve: refuse}, "NoSample/db1", replication.VerdictUnknown, "08P01"},
		"a pooler that passes it on": {&impostor{system: ours, timeline: 1, position: "0/5000000", pid: 71, backend: "4711"}, "NoSample/db1",
			replication.VerdictUnknown, replication.CausePooler},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := watchImpostors(t, c.bad, standby())
			s.until(t, c.condition, c.verdict, c.cause)
			if codes, _ := s.now(t); slices.Contains(codes, "state "+view.StateHealthy) {
				t.Errorf("HEALTHY beside %v", codes)
			}
		})
	}
}

// The server's own session tells the number of the login.
func TestHostile_ServerWithoutAPooler_IsHealthy(t *testing.T) {
	honest := primary()
	honest.pid, honest.backend = 71, "71"
	s := watchImpostors(t, honest, standby())
	testenv.Wait(t, limit, "healthy", func() (bool, string) {
		codes, r := s.now(t)
		return r.Servers[0].Verdict == replication.VerdictHealthy, fmt.Sprint(codes)
	})
}

func TestHostile_OtherDataAtTheAddress_IsAMismatchThatPages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ one, two *impostor }{
		"a primary of another cluster":                          {&impostor{system: another, timeline: 1, position: "0/5000000"}, standby()},
		"a replica of another cluster at the standby's address": {primary(), &impostor{system: another, timeline: 1, position: "0/5000000", standby: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := watchImpostors(t, c.one, c.two)
			s.until(t, "SystemIdMismatch/pair", replication.VerdictHealthy, "")
			if codes, _ := s.now(t); slices.Contains(codes, "state "+view.StateHealthy) {
				t.Errorf("HEALTHY beside %v", codes)
			}
		})
	}
}

func TestHostile_PositionGoesBackwards_IsTold_UntilItIsPassedAgain(t *testing.T) {
	t.Parallel()
	one := primary()
	s := watchImpostors(t, one, standby())
	healthy := func() {
		t.Helper()
		testenv.Wait(t, limit, "nothing of a position that went back", func() (bool, string) {
			codes, r := s.now(t)
			return r.Servers[0].Verdict == replication.VerdictHealthy && !slices.Contains(codes, "PositionWentBack/db1"), fmt.Sprint(codes)
		})
	}
	healthy()
	one.set(func() { one.position = "0/3000000" })
	s.until(t, "PositionWentBack/db1", replication.VerdictHealthy, "")
	one.set(func() { one.position = "0/3800000" }) // it writes on, and what is gone stays gone
	testenv.Wait(t, limit, "the new position", func() (bool, string) {
		_, r := s.now(t)
		return r.Servers[0].Position == 0x3800000, r.Servers[0].Position.String()
	})
	s.until(t, "PositionWentBack/db1", replication.VerdictHealthy, "")
	one.set(func() { one.position = "0/5000001" })
	healthy()
	one.set(func() { one.position = "0/4FF0000" }) // within what a crash may take back
	testenv.Wait(t, limit, "the new position", func() (bool, string) {
		_, r := s.now(t)
		return r.Servers[0].Position == 0x4FF0000, r.Servers[0].Position.String()
	})
	healthy()
}

func TestHostile_TimelineHistory_WithHolesOrGarbage_IsNotTrusted(t *testing.T) {
	t.Parallel()
	holed := func(history string) *impostor {
		return &impostor{system: ours, timeline: 4, position: "0/5000000", history: history}
	}
	t.Run("the standby's timeline is missing in it", func(t *testing.T) {
		t.Parallel()
		two := standby()
		two.timeline, two.history = 2, "1\t0/1000000\tno recovery target specified\n"
		s := watchImpostors(t, holed("1\t0/1000000\tx\n3\t0/4000000\tx\n"), two)
		s.until(t, "TimelineDivergence/db2", replication.VerdictHealthy, "")
	})
	for name, history := range map[string]string{
		"empty": "", "words": "no history at all", "backwards": "2\t0/4000000\tx\n1\t0/1000000\tx\n", "of the future": "1\t0/1000000\tx\n9\t0/4000000\tx\n",
		"LSN with a tail": "1\t0/1000000zz\tx\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := watchImpostors(t, holed(history), standby())
			testenv.Wait(t, limit, "an answer of db1", func() (bool, string) {
				_, r := s.now(t)
				return r.Servers[0].Verdict == replication.VerdictHealthy, ""
			})
			_, r := s.now(t)
			r.Servers[0].RoleSince = time.Minute // as if it had been so for a minute
			if len(r.Servers[0].History) > 0 {
				t.Fatalf("a history came of %q: %+v", history, r.Servers[0].History)
			}
			v := view.View{Cluster: "pair", Self: "db2", Nodes: []view.NodeInfo{{Name: "db1"}, {Name: "db2"}}, Up: time.Hour,
				Reports: map[string]view.Heard{"db2": {Report: withStatus(r)}}}
			for _, c := range view.Judge(v, view.DefaultLimits(), time.Now()) {
				if c.Code == view.NoSample && c.Subject == "db1" && strings.Contains(c.Text, "history of timeline 4") {
					return
				}
			}
			t.Error("nobody says that the history cannot be read")
		})
	}
}

// withStatus gives both servers an SQL answer, so that its absence is not what
// is found missing.
func withStatus(r view.Report) view.Report {
	r.Servers = slices.Clone(r.Servers)
	for i := range r.Servers {
		r.Servers[i].Status, r.Servers[i].StatusAge = &replication.Status{InRecovery: r.Servers[i].Role == replication.RoleStandby}, time.Second
	}
	return r
}
