package arch

// A layer says which packages of ours a package may import, itself excepted.
// An entry that ends in /... means a folder with all below it.
type layer struct {
	pkg    string
	may    []string
	reason string // why nothing else
}

// values are packages whose types travel through the whole house.
var values = []string{"replication", "fence", "alerts", "runbooks", "watchdog/view", "watchdog/audit"}

// layers is the table of the rooms. A package of ours that is not listed here
// fails the test: a new room needs its line.
var layers = []layer{
	{"replication", nil, "reading PostgreSQL knows no peers and no thresholds"},
	{"replication/admin", []string{"replication"}, "installing our SQL does not know when"},
	{"replication/pgdata", []string{"replication"}, "reading a data directory never acts"},
	{"replication/pgctl", []string{"replication", "replication/pgdata"}, "acting on the local server does not ask whether it is a good idea"},
	{"fence", []string{"replication"}, "fencing does not know who deserves it, nor how a device works"},
	{"fence/device", []string{"fence", "replication", "replication/pgctl", "replication/pgdata"}, "a device knows no plans and is handed its peer client"},
	{"alerts", nil, "alerts know neither PostgreSQL nor gossip"},
	{"runbooks", []string{"replication/...", "fence"}, "plans are handed a Fencer and their facts; they open nothing"},
	{"backup/...", []string{"replication/...", "backup/..."}, "backups do not know failover; whether they may run is a func"},
	{"watchdog/view", []string{"replication", "fence", "alerts"}, "judging is pure"},
	{"watchdog/audit", []string{"replication"}, "auditing is pure, over facts that it is handed"},
	{"watchdog/observe", []string{"replication", "fence", "watchdog/view", "watchdog/audit"}, "observing does not know what a report means"},
	{"watchdog/gossip", nil, "gossip carries bytes"},
	{"watchdog/state", []string{"replication", "fence", "runbooks", "alerts"}, "what survives a restart does not know why it changed"},
	{"watchdog/control", values, "the API carries, it does not decide"},
	{"watchdog/web", []string{"replication", "fence", "alerts", "watchdog/view"}, "the web side only reads"},
	{"watchdog/config", append([]string{"replication/...", "fence/...", "watchdog/observe", "watchdog/gossip", "watchdog/web"}, values...), "the configuration knows option types, no running objects"},
	{"watchdog/bootgate", []string{"replication", "replication/pgdata", "fence", "watchdog/state", "watchdog/control", "watchdog/view"}, "the gate gathers facts and applies an outcome; fence decides"},
	{"watchdog", []string{"replication/...", "fence/...", "alerts/...", "runbooks/...", "backup/...", "watchdog/..."}, "the service wires what is below; arrows point down"},
	// pgctl for the two commands that work without a service: gate and helper.
	{"cmd/watchdog", append([]string{"watchdog", "watchdog/bootgate", "watchdog/control", "watchdog/config", "watchdog/state", "replication/admin", "replication/pgctl", "testenv/demo"}, values...), "commands parse, ask the service and print"},
	{"packaging/...", append([]string{"watchdog/config"}, values...), "packaging ships files"},
	{"testenv/demo", []string{"replication/...", "watchdog/config"}, "what ships inside the program stays small"},
	{"testenv/...", []string{"..."}, "tests may import anything"},
}

// A ban keeps a package from outside in the rooms that are named.
type ban struct {
	pkg    string   // import path, /... for all below
	only   []string // rooms that may import it
	reason string
}

// drivers are the rooms that talk to PostgreSQL over the wire.
var drivers = []string{"replication", "replication/admin", "testenv/..."}

// programs are the rooms that may start another program: a device, the local
// server, a restore.
var programs = []string{"fence/device", "replication/pgctl", "backup/...", "testenv/...", "cmd/watchdog"}

var bans = []ban{
	{"github.com/jackc/...", drivers, "only replication speaks PostgreSQL's protocol"},
	{"database/sql", nil, "we use pgx"},
	{"github.com/hashicorp/memberlist", []string{"watchdog/gossip"}, "a liveness opinion stays a hint when only gossip can hear it"},
	{"github.com/spf13/...", []string{"cmd/watchdog"}, "argv belongs to commands"},
	{"github.com/jedib0t/...", []string{"cmd/watchdog"}, "output belongs to commands"},
	{"golang.org/x/term", []string{"cmd/watchdog"}, "prompts belong to commands"},
	{"github.com/goccy/...", []string{"watchdog/config", "cmd/watchdog"}, "one decoder, strict"},
	{"github.com/wneessen/...", []string{"alerts/..."}, "mail is a sink of alerts"},
	{"net/smtp", nil, "we use go-mail"},
	{"github.com/emersion/...", []string{"testenv/..."}, "a mail server is for tests and the demo"},
	{"github.com/prometheus/...", []string{"cmd/watchdog", "watchdog", "watchdog/web"}, "the command makes the registry and hands it down"},
	{"go.etcd.io/...", []string{"alerts/...", "watchdog/state", "watchdog"}, "one database file, opened by the service"},
	{"os/exec", programs, "programs are started at the edges, with a context and a deadline"},
	{"testing/...", []string{"testenv/..."}, "test code does not ship"},
	{"pgregory.net/...", []string{"testenv/..."}, "test code does not ship"},
	{"go.uber.org/goleak", []string{"testenv/..."}, "test code does not ship"},
	{"github.com/google/go-cmp/...", []string{"testenv/..."}, "test code does not ship"},
	{"github.com/rogpeppe/...", []string{"testenv/..."}, "test code does not ship"},
	{"log", []string{"watchdog/...", "testenv/...", "alerts"}, "the logger is zap and injected; log only as a type that others ask for"},
	{"log/slog", nil, "the logger is zap and injected"},
}

// pure lists rooms and what they must not touch, so that every branch that
// can stop a database is a table test.
var pure = []struct {
	pkg    string
	not    []string
	reason string
}{
	{"watchdog/view", []string{"net/...", "os/...", "io/fs", "syscall", "context", "golang.org/x/sys/...", "go.uber.org/..."}, "judging takes values and a time"},
	{"watchdog/audit", []string{"net/...", "os/...", "io/fs", "syscall", "context", "golang.org/x/sys/...", "go.uber.org/..."}, "auditing takes values"},
	{"fence", []string{"net/...", "os/...", "io/fs", "syscall", "golang.org/x/sys/...", "go.uber.org/..."}, "the gate and the grades are decisions over facts"},
	{"runbooks", []string{"net/...", "os/exec", "golang.org/x/sys/..."}, "plans are handed what acts"},
	{"watchdog/gossip", []string{"os/exec", "database/sql"}, "gossip carries bytes"},
	{"watchdog/web", []string{"os/exec"}, "the web side only reads"},
	{"watchdog", []string{"os/exec"}, "the service starts no programs: pgctl and devices do"},
}

// demoPulls is all from outside that the demo may bring into the shipped
// program, with what it brings along.
var demoPulls = []string{
	"github.com/emersion/...", // mail sink
	"github.com/jackc/...",    // ledger and application
	"golang.org/x/...",        // segments of shared memory; pgx
	"github.com/goccy/...",    // configuration files of the two services
	"go.uber.org/...",         // logger, through replication
	"github.com/cenkalti/...", // backoff, through replication
	"github.com/coreos/...",   // systemd driver, through pgctl
	"github.com/google/renameio/...",
}
