// Package sim is not pure: reports may use floats.
package sim

func mean(sum, n int64) float64 { return float64(sum) / float64(n) }
