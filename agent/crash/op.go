package crash

import (
	"fmt"
	"maps"
	"strings"
)

// Kind is what an operation does.
type Kind int

// Kinds of operations.
const (
	Names    Kind = iota // Changes to names in folders, all at once; New is set when the file is made by it
	Data                 // Node gets Bytes at Off
	Truncate             // Node gets the size Off
	Change               // Node gets new attributes
	Sync                 // Node was synced
	Mark                 // the test says Text; nothing happens on the disk
)

// Attr are the attributes of a file. Times are nanoseconds since 1970, Mode includes the file's type as in stat.
type Attr struct {
	Mode, UID, GID, Device uint32
	Mtime, Ctime           int64
	Xattrs                 map[string]string
}

func (a Attr) clone() Attr {
	a.Xattrs = maps.Clone(a.Xattrs)
	return a
}

// Binding is a name in a folder and the file that it leads to, 0 for none.
type Binding struct {
	Dir  uint64
	Name string
	Node uint64
}

// Made describes a new file.
type Made struct {
	Attr
	Link string // of a symbolic link
}

// Op is one recorded operation. Attr are the attributes of Node after it.
type Op struct {
	Kind    Kind
	Node    uint64
	Attr    Attr
	Off     int64
	Bytes   []byte
	New     *Made // of Node
	Changes []Binding
	Text    string
	Path    string // of Node at that time, for people
}

// kind is the type of the file that the operation makes, 0 when it makes none.
func (o Op) kind() uint32 {
	if o.New == nil {
		return 0
	}
	return o.New.Mode & modeType
}

// String describes the operation for people.
func (o Op) String() string {
	switch o.Kind {
	case Names:
		var all []string
		for _, c := range o.Changes {
			all = append(all, fmt.Sprintf("%d/%s→%d", c.Dir, c.Name, c.Node))
		}
		what := "rename"
		switch {
		case o.New != nil:
			what = "make"
		case len(o.Changes) == 1 && o.Changes[0].Node == 0:
			what = "remove"
		case len(o.Changes) == 1:
			what = "link"
		}
		return fmt.Sprintf("%s %s (%s)", what, o.Path, strings.Join(all, ", "))
	case Data:
		return fmt.Sprintf("write %s (%d) %d+%d", o.Path, o.Node, o.Off, len(o.Bytes))
	case Truncate:
		return fmt.Sprintf("truncate %s (%d) to %d", o.Path, o.Node, o.Off)
	case Change:
		return fmt.Sprintf("attributes of %s (%d)", o.Path, o.Node)
	case Sync:
		return fmt.Sprintf("sync %s (%d)", o.Path, o.Node)
	}
	return "mark " + o.Text
}

// Node is a file of any type. Several names may lead to one.
type Node struct {
	ID uint64
	Attr
	Data  []byte
	Link  string
	Names map[string]*Node // of a folder
}

// Log is what happened on a file system that was empty at first. Its root has the number Root.
type Log struct {
	Ops []Op
}

// Root is the number of the root folder.
const Root = 1

// marks returns the texts of the marks among the first cut operations.
func (l *Log) marks(cut int) []string {
	var all []string
	for _, o := range l.Ops[:cut] {
		if o.Kind == Mark {
			all = append(all, o.Text)
		}
	}
	return all
}
