// Package manual writes the man pages of a cobra program: a page for each command that people see, NAME-COMMAND.1, and one for each help
// topic that is about a file (see Topic). They are made from the same texts as --help, so they can't say anything else, and the same
// program gives the same bytes: no moment of making is in them.
//
// The pages are plain roff with the man macros, as every man reads them. The texts of commands are taken as text: nothing in them is markup.
package manual

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dhow/bundle/durable"
)

// Topic is the annotation of a help topic that becomes a page of its own, for example "dhow.yaml(5)".
const Topic = "manual"

// Book is what the pages of a program say beside its commands.
type Book struct {
	Title    string // of the whole, at the foot of each page: "Dhow 1.2.0"
	Date     string // "2026-11-21", of the source
	Sections []Section
}

// Section is a part of the program's own page.
type Section struct {
	Title string
	Items [][2]string // a name and what it means
}

// Write writes the pages into dir, which is made when it is not there.
func Write(dir string, root *cobra.Command, b Book) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot write the man pages: %w", err)
	}
	var errs []error
	for name, text := range Pages(root, b) {
		errs = append(errs, durable.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return errors.Join(errs...)
}

// Pages returns the text of every page under its file name.
func Pages(root *cobra.Command, b Book) map[string]string {
	pages := map[string]string{}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if name, section, ok := topic(c); ok {
			pages[name+"."+section] = b.topicPage(c, name, section)
			return
		}
		pages[pageName(c)+".1"] = b.commandPage(c)
		for _, sub := range visible(c) {
			walk(sub)
		}
	}
	walk(root)
	return pages
}

// visible lists the commands under c that people see; "help" has no page, its text is in every other.
func visible(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(sub *cobra.Command) bool {
		_, _, topic := topic(sub)
		return !topic && !sub.IsAvailableCommand() || sub.Name() == "help"
	})
}

func topic(c *cobra.Command) (name, section string, ok bool) {
	name, section, ok = strings.Cut(strings.TrimSuffix(c.Annotations[Topic], ")"), "(")
	return name, section, ok
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// reference is how another page is named: "dhow-update(1)".
func reference(c *cobra.Command) string {
	if name, section, ok := topic(c); ok {
		return bold(name) + "(" + section + ")"
	}
	return bold(pageName(c)) + "(1)"
}

func (b Book) head(p *page, name, section, short string) {
	p.macro("TH", strings.ToUpper(name), section, b.Date, b.Title, "Dhow")
	p.section("Name")
	p.line(escape(name) + ` \- ` + escape(short))
}

func (b Book) topicPage(c *cobra.Command, name, section string) string {
	p := &page{}
	_, short, ok := strings.Cut(c.Short, ": ")
	if !ok {
		short = c.Short
	}
	b.head(p, name, section, short)
	p.section("Description")
	p.literal(c.Long)
	p.section("See also")
	p.line(reference(c.Root()))
	return p.String()
}

func (b Book) commandPage(c *cobra.Command) string {
	p := &page{}
	b.head(p, pageName(c), "1", c.Short)
	p.section("Synopsis")
	p.line(synopsis(c))
	p.section("Description")
	p.text(or(c.Long, c.Short+"."))
	if c.Example != "" {
		p.section("Examples")
		p.literal(c.Example)
	}
	if subs := visible(c); len(subs) > 0 {
		p.section("Commands")
		for _, sub := range subs {
			p.item(reference(sub), sub.Short)
		}
	}
	p.flags("Options", c.NonInheritedFlags())
	p.flags("Global options", c.InheritedFlags())
	if c.HasParent() {
		p.section("Exit status")
		p.text("See " + c.Root().Name() + "(1).")
	} else {
		for _, s := range b.Sections {
			p.section(s.Title)
			for _, item := range s.Items {
				p.item(bold(item[0]), item[1])
			}
		}
	}
	p.section("See also")
	p.line(strings.Join(seeAlso(c), ", "))
	return p.String()
}

func synopsis(c *cobra.Command) string {
	use := c.UseLine()
	rest := strings.TrimPrefix(use, c.CommandPath())
	if len(visible(c)) > 0 {
		rest = " COMMAND" + rest
	}
	return bold(c.CommandPath()) + escape(rest)
}

// seeAlso names the pages above and beside.
func seeAlso(c *cobra.Command) (list []string) {
	if c.HasParent() {
		list = append(list, reference(c.Parent()))
		for _, sub := range visible(c.Parent()) {
			if sub != c && c.Parent().HasParent() {
				list = append(list, reference(sub))
			}
		}
	}
	for _, sub := range visible(c) {
		list = append(list, reference(sub))
	}
	return list
}

func (p *page) flags(title string, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	p.section(title)
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		if kind == "strings" || kind == "stringArray" { // the texts say what may be repeated
			kind = "string"
		}
		name := bold("--" + f.Name)
		if f.Shorthand != "" {
			name = bold("-"+f.Shorthand) + ", " + name
		}
		if kind != "" {
			name += ` \fI` + escape(kind) + `\fR`
		}
		p.item(name, usage)
	})
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
