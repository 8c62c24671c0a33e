// Package score shows which floating-point numbers are reported.
package score

import "math"

type plan struct {
	score  float64   // want `floating-point variable score`
	shares []float32 // want `floating-point type`
	cost   int64
}

func ratio(a, b int64) float64 { // want `floating-point type`
	return float64(a) / float64(b) // want `floating-point`
}

func hidden(a int64) int64 {
	half := 0.5                         // want `floating-point variable half`
	_ = half                            // want `floating-point value`
	return int64(math.Sqrt(float64(a))) // want `floating-point`
}

func field(p plan) bool {
	return p.score > 1 // want `floating-point value`
}

type weight float64 // want `floating-point type`

func complexNumber(c complex128) {} // want `floating-point variable c`

//caravan:float // want `needs a reason`
func bare(x float64) {} // want `floating-point variable x`

// What follows is left alone.

const millis = 0.25 * 1000

func thousandths() int64 { return millis * 4 }

//caravan:float a decimal number from the file becomes an integer here
func parse(x float64) int64 {
	y := x * 1000
	return int64(y)
}

func edge(p plan) int64 {
	//caravan:float rounding a foreign number, once
	return int64(p.score)
}

func line(p plan) int64 {
	return int64(p.score) //caravan:float rounding a foreign number, once
}

func integers(a, b int64) int64 { return a * 1000 / b }
