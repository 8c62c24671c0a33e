// Command caravan-vet runs this project's own analyzers. It is a tool for go vet:
//
//	go vet -vettool=$(which caravan-vet) ./...
//
// and runs by itself on package patterns as well: caravan-vet ./scheduler/...
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"

	"caravan/tools/vet/fsmdeterminism"
	"caravan/tools/vet/maporder"
	"caravan/tools/vet/nofloatscore"
)

func main() {
	multichecker.Main(
		fsmdeterminism.Analyzer,
		maporder.Analyzer,
		nofloatscore.Analyzer,
	)
}
