package packing

import "strconv"

// decimal writes n/unit with all its digits; unit is a power of ten above 1.
func decimal(n, unit int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	digits := strconv.FormatInt(unit+n%unit, 10)[1:]
	return sign + strconv.FormatInt(n/unit, 10) + "." + digits
}
