package alerts

import (
	"slices"
	"strings"
)

// openCodes are the incidents that stand open on live peers: the gravest
// severity of each code. They explain what this engine observes, because an
// incident is one, whichever service has told it. Only codes travel: Condition's
// InhibitedBy names codes, too.
type openCodes map[string]Severity

// openPrefix begins the gossiped form: "open.page:NoPrimary". Marks begin with
// hexadecimal digits, so that older services ignore these lines.
const openPrefix = "open."

// maxCode bounds a code that a peer may name.
const maxCode = 48

func openAtPeers(lines []string) openCodes {
	out := openCodes{}
	for _, line := range lines[:min(len(lines), maxPeerMarks)] {
		rest, found := strings.CutPrefix(line, openPrefix)
		name, code, both := strings.Cut(rest, ":")
		i := slices.Index(severityNames[:], name)
		if found && both && i > int(SeverityInfo) && code != "" && len(code) <= maxCode {
			out[code] = max(out[code], Severity(i)) //nolint:gosec // index of a short array
		}
	}
	return out
}

// explain says whether a peer's incident of this code speaks for the effect; as
// with our own, a mail must not swallow a page.
func (o openCodes) explain(code string, effect Condition) bool {
	return o[code] > SeverityInfo && o[code] >= effect.Severity && slices.Contains(effect.InhibitedBy, code)
}

func (o openCodes) has(c Condition) bool { return o[c.Code] > SeverityInfo }

// openLines says what stands open on this node, unless only its own log is told.
func (e *Engine) openLines() []string {
	if len(e.sharedTargets()) == 0 {
		return nil
	}
	open := openCodes{}
	for _, in := range e.incidents {
		if in.State.Open() {
			open[in.Condition.Code] = max(open[in.Condition.Code], in.Condition.Severity)
		}
	}
	var out []string
	for _, code := range sortedKeys(open) {
		if s := open[code]; s > SeverityInfo && len(out) < maxOpenLines {
			out = append(out, openPrefix+s.String()+":"+code)
		}
	}
	return out
}

// maxOpenLines leaves most of the room for marks; the catalogue has fewer codes.
const maxOpenLines = 24
