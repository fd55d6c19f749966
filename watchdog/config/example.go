package config

import (
	_ "embed" // the examples are files, so that editors and tests read them as YAML
	"strings"
)

//go:embed example_minimal.yaml
var exampleMinimal string

//go:embed example_full.yaml
var exampleFull string

// Example is what `config init` writes into an example.
type Example struct {
	Cluster string
	Node    string            // this server
	Address map[string]string // of db1 and db2
	Full    bool              // every key with its default, or only what is needed
}

// Text gives a commented file to start from. It loads as soon as the key files
// that it names exist.
func (e Example) Text() string {
	text := exampleMinimal
	if e.Full {
		text = exampleFull
	}
	pairs := []string{}
	if e.Cluster != "" {
		pairs = append(pairs, "cluster: gestionale", "cluster: "+e.Cluster)
	}
	if e.Node != "" {
		pairs = append(pairs, "\nnode: db1", "\nnode: "+e.Node)
	}
	for name, placeholder := range map[string]string{"db1": "10.0.0.11", "db2": "10.0.0.12"} {
		if a := e.Address[name]; a != "" {
			pairs = append(pairs, "address: "+placeholder, "address: "+a)
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
