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
