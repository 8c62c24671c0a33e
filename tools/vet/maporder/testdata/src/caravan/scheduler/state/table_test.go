package state

func each(m map[string]int, f func(string)) {
	for k := range m { // a test may walk as it likes
		f(k)
	}
}
