package alerts

import (
	"fmt"
	"strings"
)

func englishWords() Words {
	return Words{
		"PAGE", "WARNING", "INFO",
		enFiring,
		enResolved,
		"Observed",
		"What it means",
		"Evidence",
		"also",
		"Still there (told separately if it lasts)",
		"Nodes",
		"First",
		func(id, code, subject, hold string) string {
			return fmt.Sprintf("Incident %s, %s (%s), told after %s.", id, code, subject, hold)
		},
		func(node string, alive []string) string {
			return fmt.Sprintf("Sent by %s; services alive: %s.", node, strings.Join(alive, ", "))
		},
		func(missing []string) string {
			return fmt.Sprintf("Sent without hearing from %s: the same message may come from there too.", strings.Join(missing, ", "))
		},
		func(queued, wait string, attempt int) string {
			return fmt.Sprintf("Late: queued at %s, %s before this attempt (number %d).", queued, wait, attempt)
		},
	}
}

func enFiring(at, utc, lasted string, opening uint32) string {
	s := fmt.Sprintf("FIRING since %s (%s), for %s.", at, utc, lasted)
	if opening > 1 {
		s += fmt.Sprintf(" Opening number %d of this incident.", opening)
	}
	return s
}

func enResolved(at, utc, lasted string) string {
	return fmt.Sprintf("RESOLVED at %s (%s), after %s.", at, utc, lasted)
}
