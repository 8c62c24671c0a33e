// Package isolation lets a task try whatever it must not be able to do, on real processes and
// as root, and looks whether the agent or another task notices.
package isolation

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"caravan/e2e/harness"
)

// bin is the caravan binary under test, built once.
var bin string

// TestMain is also the program of the tasks: "attack", "victim", "euid", "fork", "memory",
// "disk".
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		if play, ok := roles()[os.Args[1]]; ok {
			if err := play(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(harness.Main(m, &bin))
}

// targetEnv tells the attacker what there is to attack, in JSON.
const targetEnv = "TARGET"

func roles() map[string]func() error {
	return map[string]func() error{
		"attack": playAttacker, "victim": playVictim, "serve": playServer,
		"euid":   func() error { _, err := fmt.Println(os.Geteuid()); return err },
		"fork":   forkBomb,
		"memory": memoryBomb,
		"disk":   diskBomb,
	}
}

// playAttacker tries everything and says what came of it, a line each.
func playAttacker() error {
	var t target
	if err := json.Unmarshal([]byte(os.Getenv(targetEnv)), &t); err != nil {
		return err
	}
	for _, a := range attacks() {
		if err := a.try(t); err != nil {
			fmt.Printf("refused\t%s\t%v\n", a.name, err)
		} else {
			fmt.Printf("DONE\t%s\n", a.name)
		}
	}
	return nil
}

// playServer echoes what each connection sends, until the sender has done.
func playServer() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := os.WriteFile("port.new", []byte(strconv.Itoa(l.Addr().(*net.TCPAddr).Port)), 0o644); err != nil {
		return err
	}
	if err := os.Rename("port.new", "port"); err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn) // the sender notices
		}()
	}
}

// forkBomb starts processes until it cannot.
func forkBomb() error {
	for n := 0; ; n++ {
		if err := exec.Command("/bin/sleep", "1000").Start(); err != nil {
			return fmt.Errorf("after %d processes: %w", n, err)
		}
	}
}

func memoryBomb() error {
	var all [][]byte
	for {
		p := make([]byte, 16<<20)
		touch(p)
		all = append(all, p)
		fmt.Println(len(all)*16, "MiB")
	}
}

// diskBomb fills its directory until it is ended.
func diskBomb() error {
	f, err := os.Create("bomb")
	if err != nil {
		return err
	}
	defer f.Close()
	p := make([]byte, 1<<20)
	for {
		if _, err := f.Write(p); err != nil {
			return err
		}
		if err := f.Sync(); err != nil { // at the disk's speed, not the memory's
			return err
		}
	}
}
