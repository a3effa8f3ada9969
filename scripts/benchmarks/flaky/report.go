package main

import (
	"fmt"
	"time"
)

func report(clients []client, results [][]result, tries int) {
	fmt.Printf("\nEach command is started %d times at most, and once more where it is killed; one after the other.\n", tries)
	fmt.Printf("%-26s  %-12s %12s  %-24s %6s %7s\n", "line", "", "moved ÷ size", "", "starts", "time")
	for n, s := range scenarios {
		for i, c := range clients {
			r, name, how := results[i][n], "", "completed"
			if i == 0 {
				name = s.name
			}
			switch {
			case r.boundReached:
				how = fmt.Sprintf("hangs, ended after %v", bound)
			case !r.done:
				how = "never"
			}
			fmt.Printf("%-26s  %-12s %12.3f  %-24s %6d %5.0f s\n", name, c.name, r.ratio(), how, r.tries, r.took.Round(time.Second).Seconds())
		}
		if again, ended := results[0][n].again(); s.line.After > 0 && ended > 0 {
			fmt.Printf("%-26s  dhow: %d connections ended, %.3f MB moved again for each\n", "", ended, again/1e6)
		}
	}
	for i, c := range clients {
		for n, s := range scenarios {
			if r := results[i][n]; !r.done {
				fmt.Printf("%s, %s: %s\n", c.name, s.name, r.last)
			}
		}
	}
	count := func(i int) string {
		done := 0
		for _, r := range results[i] {
			if r.done {
				done++
			}
		}
		return fmt.Sprintf("%d/%d", done, len(scenarios))
	}
	fmt.Printf("flaky-link: completed=%s docker_pull=%s skopeo=%s moved_fin=%.3f moved_rst=%.3f moved_kill=%.3f\n", count(0), count(1), count(2),
		results[0][fin].ratio(), results[0][reset].ratio(), results[0][kill].ratio())
}

func (r result) ratio() float64 { return float64(r.moved) / float64(r.size) }

// again returns how many bytes moved more than once for each connection that ended, and how many there were.
func (r result) again() (bytes float64, ended int64) {
	return float64(r.moved-r.size) / float64(max(r.ended, 1)), r.ended
}
