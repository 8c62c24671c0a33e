package spawn

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// siginfoPID reads si_pid of a child's siginfo. On 64-bit Linux the union that holds it lies
// behind three ints and four bytes of padding (include/uapi/asm-generic/siginfo.h); x/sys
// declares no accessor for it.
func siginfoPID(info *unix.Siginfo) int {
	const offset = 16
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
