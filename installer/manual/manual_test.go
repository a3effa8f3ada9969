package manual_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"dhow/installer/manual"
)

func sample() *cobra.Command {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "tool", Short: "Does things", Run: run}
	root.PersistentFlags().String("prefix", "", "keep it under `DIR`")
	get := &cobra.Command{Use: "get NAME", Short: "Get it", Long: "Gets it.\n.hidden and 'quoted' C:\\dir\n\nFor example:\n  tool get -x", Run: run}
	get.Flags().StringArrayP("from", "f", nil, "where from; repeatable")
	get.Flags().Bool("secret", false, "nobody sees it")
	_ = get.Flags().MarkHidden("secret")
	put := &cobra.Command{Use: "put", Short: "Put it", Run: run}
	file := &cobra.Command{Use: "file", Short: "tool.yaml: every key", Long: "key: 1   # - one", Annotations: map[string]string{manual.Topic: "tool.yaml(5)"}}
	hidden := &cobra.Command{Use: "inner", Short: "For scripts", Hidden: true, Run: run}
	root.AddCommand(get, put, file, hidden)
	return root
}

func book() manual.Book {
	return manual.Book{Title: "Tool 1.2.0", Date: "2026-11-21", Sections: []manual.Section{{Title: "Files", Items: [][2]string{{"/etc/tool", "its file"}}}}}
}

func TestPages(t *testing.T) {
	pages := manual.Pages(sample(), book())
	if names := slices.Sorted(maps.Keys(pages)); strings.Join(names, " ") != "tool-get.1 tool-put.1 tool.1 tool.yaml.5" {
		t.Fatalf("pages: %v", names)
	}
	want := `.TH "TOOL\-GET" "1" "2026\-11\-21" "Tool 1.2.0" "Dhow"
.SH "NAME"
tool\-get \- Get it
.SH "SYNOPSIS"
\fBtool get\fR NAME [flags]
.SH "DESCRIPTION"
Gets it.
\&.hidden and 'quoted' C:\edir
.PP
.nf
For example:
  tool get \-x
.fi
.SH "OPTIONS"
.TP
\fB\-f\fR, \fB\-\-from\fR \fIstring\fR
where from; repeatable
.SH "GLOBAL OPTIONS"
.TP
\fB\-\-prefix\fR \fIDIR\fR
keep it under DIR
.SH "EXIT STATUS"
See tool(1).
.SH "SEE ALSO"
\fBtool\fR(1)
`
	if pages["tool-get.1"] != want {
		t.Errorf("tool-get.1 is\n%swant\n%s", pages["tool-get.1"], want)
	}
	for page, texts := range map[string][]string{
		"tool.1": {
			".SH \"SYNOPSIS\"\n\\fBtool\\fR COMMAND\n", ".SH \"COMMANDS\"\n.TP\n\\fBtool.yaml\\fR(5)\ntool.yaml: every key\n",
			".SH \"FILES\"\n.TP\n\\fB/etc/tool\\fR\nits file\n", ".SH \"SEE ALSO\"\n\\fBtool.yaml\\fR(5), \\fBtool\\-get\\fR(1), \\fBtool\\-put\\fR(1)\n",
		},
		"tool.yaml.5": {"tool.yaml \\- every key\n", ".nf\nkey: 1   # \\- one\n.fi\n", "\\fBtool\\fR(1)\n"},
	} {
		for _, text := range texts {
			if !strings.Contains(pages[page], text) {
				t.Errorf("%s lacks %q:\n%s", page, text, pages[page])
			}
		}
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	if err := manual.Write(dir, sample(), book()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "tool.1"))
	if err != nil || string(data) != manual.Pages(sample(), book())["tool.1"] {
		t.Errorf("tool.1: %v\n%s", err, data)
	}
}

func TestSections(t *testing.T) {
	codes := manual.ExitCodes()
	if codes.Items[0] != [2]string{"0", "done, or nothing to do"} || len(codes.Items) < 12 {
		t.Errorf("exit codes: %v", codes)
	}
	if day := manual.Day(time.Date(2026, 11, 21, 23, 0, 0, 0, time.FixedZone("", -7200))); day != "2026-11-22" || manual.Day(time.Time{}) != "" {
		t.Errorf("day: %s", day)
	}
}
