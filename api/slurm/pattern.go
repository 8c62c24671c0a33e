package slurm

import (
	"strconv"
	"strings"
)

// Names are what the patterns of file names stand for.
type Names struct {
	Job, ArrayJob int64
	// Index is the task's in its array; -1 without one.
	Index      int64
	Name, User string
	Node       string
	NodeNumber int
	Task       int
	Step       string
	Arrayed    bool
}

// Default is where output goes unless the job says otherwise.
func (n Names) Default() string {
	if n.Arrayed {
		return "slurm-%A_%a.out"
	}
	return "slurm-%j.out"
}

// Expand replaces the patterns of a file name: %j %J %A %a %x %u %N %n %t %s %%, each with an
// optional width for its number. A name with a backslash is taken as it stands.
func (n Names) Expand(pattern string) string {
	if strings.ContainsRune(pattern, '\\') {
		return strings.ReplaceAll(pattern, `\`, "")
	}
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' {
			b.WriteByte(pattern[i])
			continue
		}
		width, k := 0, i+1
		for ; k < len(pattern) && pattern[k] >= '0' && pattern[k] <= '9' && width < 100; k++ {
			width = 10*width + int(pattern[k]-'0')
		}
		if k == len(pattern) {
			b.WriteString(pattern[i:])
			break
		}
		if text, ok := n.value(pattern[k], min(width, 10)); ok {
			b.WriteString(text)
		} else {
			b.WriteString(pattern[i : k+1])
		}
		i = k
	}
	return b.String()
}

func (n Names) value(c byte, width int) (string, bool) {
	padded := func(v int64) (string, bool) {
		s := strconv.FormatInt(v, 10)
		return strings.Repeat("0", max(0, width-len(s))) + s, true
	}
	switch c {
	case '%':
		return "%", true
	case 'j':
		return padded(n.Job)
	case 'J':
		s, _ := padded(n.Job)
		if n.Step != "" {
			s += "." + n.Step
		}
		return s, true
	case 'A':
		return padded(n.ArrayJob)
	case 'a':
		if n.Index < 0 {
			return padded(4294967294) // what Slurm writes without an array
		}
		return padded(n.Index)
	case 'n':
		return padded(int64(n.NodeNumber))
	case 't':
		return padded(int64(n.Task))
	case 'x':
		return n.Name, true
	case 'u':
		return n.User, true
	case 'N':
		return n.Node, true
	case 's':
		return n.Step, true
	}
	return "", false
}
