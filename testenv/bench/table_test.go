package bench

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// unit says how a figure is printed.
type unit func(float64) string

// The units of the table. Durations are kept as seconds.
var (
	seconds unit = func(v float64) string {
		switch {
		case math.Abs(v) < 0.0995:
			return fmt.Sprintf("%.1f ms", v*1000)
		default:
			return fmt.Sprintf("%.3f s", v)
		}
	}
	mebibytes unit = func(v float64) string { return fmt.Sprintf("%.1f MiB", v/(1<<20)) }
	percent   unit = func(v float64) string { return fmt.Sprintf("%.2f %%", v*100) }
	perSecond unit = func(v float64) string { return fmt.Sprintf("%.2f/s", v) }
	count     unit = func(v float64) string { return fmt.Sprintf("%.0f", v) }
)

// figure is one measured quantity over all rounds.
type figure struct {
	name   string
	unit   unit
	values []float64
	// limit is the target, in the figure's unit; 0: the figure has none.
	limit float64
	// target says it in words.
	target string
}

func (f *figure) add(v float64)             { f.values = append(f.values, v) }
func (f *figure) took(d time.Duration)      { f.add(d.Seconds()) }
func (f figure) median() float64            { return median(f.values) }
func (f figure) worst() float64             { return slices.Max(f.values) }
func (f figure) below(l float64) figure     { f.limit, f.target = l, "< "+f.unit(l); return f }
func (f figure) named(target string) figure { f.target = target; return f }

// met judges the median; a figure without a target is not judged.
func (f figure) met() string {
	switch {
	case f.limit == 0:
		return ""
	case f.median() < f.limit:
		return "met"
	}
	return "MISSED"
}

// median is the middle of the values, the mean of the two middle ones when
// their number is even; NaN for none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// busy tells how busy the machine was in the last minute: on a machine with
// other work, every figure grows, and those of CPU as well.
func busy() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "load unknown"
	}
	load, _, _ := strings.Cut(string(text), " ")
	return fmt.Sprintf("load %s on %d cores", load, runtime.NumCPU())
}

// write prints the figures as a table under a title.
func write(w io.Writer, title string, figures ...figure) {
	fmt.Fprintf(w, "\n%s; %s\n", title, busy())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  \tmedian\tworst\trounds\ttarget\t")
	for _, f := range figures {
		if len(f.values) == 0 {
			fmt.Fprintf(t, "  %s\tnot measured\t\t0\t%s\t\n", f.name, f.target)
			continue
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%d\t%s\t%s\n", f.name, f.unit(f.median()), f.unit(f.worst()), len(f.values), f.target, f.met())
	}
	_ = t.Flush() // standard output; nobody is left to tell
}

func TestMedian_OfFewAndOfNone(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 9}, 3},
	} {
		before := slices.Clone(c.values)
		if got := median(c.values); got != c.want || !slices.Equal(before, c.values) {
			t.Errorf("median of %v: %v, want %v; afterwards %v", before, got, c.want, c.values)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("the median of nothing is a number")
	}
}

func TestWrite_MissedTargetAndMissingFigureAreSaid(t *testing.T) {
	fast := figure{name: "fast", unit: seconds, values: []float64{0.04, 0.05, 0.2}}.below(0.1)
	slow := figure{name: "slow", unit: seconds, values: []float64{0.1}}.below(0.1)
	none := figure{name: "none", unit: seconds}.below(0.1)
	var b strings.Builder
	write(&b, "title", fast, slow, none)
	lines := strings.Split(b.String(), "\n")
	for i, want := range map[int]string{
		3: "fast 50.0 ms 0.200 s 3 < 0.100 s met", 4: "slow 0.100 s 0.100 s 1 < 0.100 s MISSED", 5: "none not measured 0 < 0.100 s",
	} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("line %d: %q, want %q", i, got, want)
		}
	}
}
