// Package leader is not pure: nothing is reported.
package leader

func each(m map[string]int, f func(string)) {
	for k := range m {
		f(k)
	}
}
