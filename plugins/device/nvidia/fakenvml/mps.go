package fakenvml

import (
	"os"
	"path/filepath"
	"testing" //nolint:depguard // a package for tests alone
)

// control stands in for nvidia-cuda-mps-control: "-d" starts a daemon that leaves its number as the
// real one does, and "quit" on its input ends it. The daemon ends with its directory, too. Beside it,
// "started" lists the GPUs of daemons, "orders" what they were told; while "broken" is there none starts.
const control = `#!/bin/sh
pid="$CUDA_MPS_PIPE_DIRECTORY/nvidia-cuda-mps-control.pid"
here="$(dirname "$0")"
case "$1" in
-d)
	[ -e "$here/broken" ] && { echo "no such luck"; exit 1; }
	: > "$pid"
	setsid "$0" serve </dev/null >/dev/null 2>&1 &
	echo $! > "$pid"
	echo "$CUDA_VISIBLE_DEVICES" >> "$here/started" ;;
serve) while [ -e "$pid" ]; do sleep 0.05; done ;;
*) while read -r order; do
	if [ "$order" = quit ]; then rm "$pid"; else echo "$order" >> "$here/orders"; fi
done ;;
esac
`

// MPSControl writes a stand-in for nvidia-cuda-mps-control into a directory and returns its path.
func MPSControl(t testing.TB, dir string) string {
	t.Helper()
	program := filepath.Join(dir, "nvidia-cuda-mps-control")
	if err := os.WriteFile(program, []byte(control), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return program
}
