package view

import (
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/alerts"
)

func TestCatalogue_EveryCondition_HasItsOwnWordsInAMail(t *testing.T) {
	words := alerts.English()
	for _, e := range Catalogue() {
		if !words.Has(e.Code) {
			t.Errorf("%s would be mailed without a word on what it means", e.Code)
		}
	}
}

// A command that is printed as the next one may be typed without thinking.
func TestCatalogue_NoHintChangesAnything(t *testing.T) {
	for _, e := range Catalogue() {
		for _, word := range []string{"pg_drop", "ALTER", "REINDEX", "DELETE", "pg_terminate", " rm "} {
			if strings.Contains(e.Hint, word) {
				t.Errorf("%s: the hint %q does", e.Code, e.Hint)
			}
		}
	}
}

// TestCatalogue_EveryCondition_SaysWhatWouldRefuteIt: evidence that nothing
// could contradict is none.
func TestCatalogue_EveryCondition_SaysWhatWouldRefuteIt(t *testing.T) {
	for _, code := range Codes() {
		x, known := Explain(code, "db1")
		switch {
		case !known || x.Means == "" || x.Refute == "":
			t.Errorf("%s: fill Means and Refute of its entry: %+v", code, x)
		case strings.Contains(x.Refute, "NODE") || strings.HasSuffix(x.Refute, "."):
			t.Errorf("%s: %q is no clause about a node that is named", code, x.Refute)
		}
	}
	if _, known := Explain("NoSuchThing", "db1"); known {
		t.Error("a code that nobody knows was explained")
	}
}
