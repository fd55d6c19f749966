package view

import (
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
