// Package state is pure: its tests are not looked at.
package state

func each2(m map[string]int, f func(string)) {
	for k := range m { // want `loop over a map in map order`
		f(k)
	}
}
