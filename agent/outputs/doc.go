// Package outputs finds what a task promised to leave behind and publishes it.
//
// Exit code 0 is not success: a task declares its outputs, and an output that is not there
// fails it. Publishing puts each file at its destination in one step, so that readers see the
// old file, or the new one whole, never a part:
//
//	copy to a temporary name beside the destination, fsync, rename; or, when the file may be
//	moved and lies on the same file system, fsync and rename.
//
// Invariants:
//
//   - nothing outside of the work directory is ever read: paths are resolved by os.Root, which
//     refuses symbolic links that leave it, also when they are swapped while we look;
//   - no symbolic link below an allowed destination root is followed when writing (openat2(2),
//     RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS), except those that were there before and stay
//     within the roots;
//   - Publish is idempotent: a manifest in the staging directory fixes the list of files
//     before the first one moves, and a call after a crash completes it. Once complete, further
//     calls touch nothing, for a later allocation may have published newer files.
//
// The shim calls Resolve after the command; the agent calls Publish once the servers have
// accepted the allocation's success.
package outputs
