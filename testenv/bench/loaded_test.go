package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// loadedTime is how long the loaded pair is watched.
var loadedTime = flag.Duration("loaded", time.Minute, "how long BenchmarkLoaded watches a pair under full load")

// badVerdict is a line of a service's log that accuses a server.
var badVerdict = regexp.MustCompile(`server verdict changed.*"verdict": "([^h][a-z_]*|hung)"`)

// BenchmarkLoaded works a healthy pair as hard as the machine can, with every
// processor taken by others besides, and counts what the services said of it that
// was not true. There is nothing wrong, so each accusation is a false one.
func BenchmarkLoaded(b *testing.B) {
	s := newSite(b)
	defer closeSite(b, s)
	useDefaults(b, s)
	for _, n := range s.Nodes {
		awaitHealthy(b, n)
	}
	said := figure{name: "accusations of a healthy server, both services", unit: count}
	tps := figure{name: "pgbench: transactions (8 clients)", unit: perSecond}
	before := accusations(s)
	b.ResetTimer()
	ctx, cancel := context.WithTimeout(b.Context(), *loadedTime)
	defer cancel()
	hogs := hog(ctx, runtime.NumCPU())
	tps.add(pgbench(b, s.Pair.Servers[0], *loadedTime))
	cancel()
	hogs()
	said.add(float64(accusations(s) - before))
	for _, n := range s.Nodes {
		awaitHealthy(b, n)
	}
	write(os.Stdout, fmt.Sprintf("Loaded for %s (pgbench, and one busy thread per processor)", *loadedTime), said.named("0"), tps)
}

func accusations(s *demo.Site) int {
	n := 0
	for _, node := range s.Nodes {
		n += len(badVerdict.FindAllString(node.Log(1<<24), -1))
	}
	return n
}

// hog keeps that many processors busy until the context ends.
func hog(ctx context.Context, n int) (wait func()) {
	done := make(chan struct{}, n)
	for range n {
		go func() {
			for ctx.Err() == nil {
			}
			done <- struct{}{}
		}()
	}
	return func() {
		for range n {
			<-done
		}
	}
}

// pgbench runs its usual transactions (https://www.postgresql.org/docs/current/pgbench.html).
func pgbench(b *testing.B, s *demo.Server, d time.Duration) (tps float64) {
	b.Helper()
	binaries, err := demo.FindBinaries(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, args := range [][]string{{"-i", "-q", "-s", "5"}, {"-n", "-c", "8", "-j", "2", "-T", fmt.Sprint(int(d.Seconds()))}} {
		cmd := exec.CommandContext(b.Context(), binaries.Path("pgbench"), append(args, s.DSN("postgres"))...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("pgbench: %v: %s", err, out)
		}
		if m := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out); m != nil {
			_, _ = fmt.Sscan(string(m[1]), &tps)
		}
	}
	return tps
}
