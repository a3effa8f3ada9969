package self

import (
	"fmt"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	goroutines := strings.Repeat("\ngoroutine 7 [running]:\nmain.main()\n\t/src/main.go:7 +0x1d\n", 1000)
	for _, c := range []struct{ output, want string }{
		{"", ""},
		{"out of order\n", "out of order"},
		{"one\ntwo\n\n", "two"},
		{"starting\npanic: no such table\n" + goroutines, "panic: no such table"},
		{"fatal error: all goroutines are asleep - deadlock!\n" + goroutines + "exit status 2\n", "fatal error: all goroutines are asleep - deadlock!"},
		{"panic: cut off", "panic: cut off"},
		{strings.Repeat("x", 3*maxTail) + "panic: in a line\nlast\n", "last"},
		{"panic: " + strings.Repeat("x", 3*maxTail) + "\nrest\n", "panic: " + strings.Repeat("x", 293)},
		{goroutines, "/src/main.go:7 +0x1d"},
	} {
		for _, step := range []int{1, 7, 1 << 20} {
			tail := &tail{}
			for rest := c.output; rest != ""; {
				n := min(step, len(rest))
				if m, err := fmt.Fprint(tail, rest[:n]); m != n || err != nil {
					t.Fatal(m, err)
				}
				rest = rest[n:]
			}
			if got := tail.line(); got != c.want {
				t.Errorf("%.40q in steps of %d: %q", c.output, step, got)
			}
		}
	}
}
