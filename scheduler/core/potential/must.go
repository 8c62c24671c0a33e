package potential

// must stops the program when an invariant is broken: a wrong book of the nodes would place work where
// it does not fit.
func must(ok bool, what string) {
	if !ok {
		panic("potential: invariant broken: " + what)
	}
}
