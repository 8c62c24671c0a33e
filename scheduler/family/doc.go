// Package family is the catalogue of machine shapes: instance families, their types (sizes) and the
// device parts inside them.
//
// The catalogue is the embedded file families.yaml. Parse reads it strictly and turns every amount
// into an integer: MiB, Mbit/s, MHz, GFLOPS, and thousandths of a device. Decimals are read digit by
// digit from the text, never through a floating-point number, so 0.125 of a device is exactly 125
// thousandths on every platform.
//
// Invariants of a Catalogue that Parse returned:
//   - every device share names a part of the same catalogue;
//   - a share is a whole number of devices (a multiple of Whole) or less than one device;
//   - every type has at least one virtual CPU and some memory, and a name no other type has;
//   - it never changes: share it freely between goroutines, and leave the slices it hands out as
//     they are.
//
// Callers: the simulator and the development cluster ask for a fleet by a line such as
// "gn4=2,ga1=1,f1=1,c4=4" (ParseFleet), and the command line prints families and types. A number
// that the vendor does not publish is 0, a feature is then Unrecorded.
package family
