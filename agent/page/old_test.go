package page_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"dhow/agent/page/pagetest"
)

// What old browsers can't read would stop a script as a whole.
var modern = regexp.MustCompile("=>|`|\\?\\.|\\?\\?|\\.\\.\\.|\\b(let|const|class|async|await)\\b|\\.(catch|finally)\\(")

// TestOldBrowsers: the scripts are of the year 2009, every colour is there for who knows no custom properties, and a browser without styles or scripts is told
// nothing that is not so.
func TestOldBrowsers(t *testing.T) {
	for _, file := range []string{"live.js", "../doors/page.js"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := modern.FindString(string(data)); found != "" {
			t.Errorf("%s: old browsers do not know %s", file, found)
		}
	}
	for _, s := range pagetest.States() {
		page := shown(t, s, "/?lang=en")
		_, style, _ := strings.Cut(page, "<style")
		style, _, _ = strings.Cut(style, "</style>")
		for line := range strings.Lines(style) {
			for _, d := range regexp.MustCompile(`([a-z-]+): [^;{}]*var\(`).FindAllStringSubmatchIndex(line, -1) {
				if name := line[d[2]:d[3]]; !regexp.MustCompile(`[ ;{]` + name + `: [^;{}]*#[0-9a-f]{6}[^;{}]*; $`).MatchString(line[:d[0]]) {
					t.Errorf("%s: only for new browsers: %s", s.Name, strings.TrimSpace(line))
				}
			}
		}
		if text := tags.ReplaceAllString(page, ""); strings.Contains(text, "There is no answer from the agent") || strings.Contains(text, "Print") {
			t.Errorf("%s says without scripts what only they know:\n%s", s.Name, text)
		}
	}
}
