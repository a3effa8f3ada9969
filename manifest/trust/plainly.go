package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// otherKind is what go-tuf says of a document of another role.
var otherKind = regexp.MustCompile(`expected metadata type ([a-z]+), got - (.{1,40})`)

// plainly says in words what is wrong with a document that has another form than it must have; "" where there is nothing to add.
func plainly(err error) string {
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mistyped) && mistyped.Field == "":
		return "it is not a signed document, but JSON of another kind (" + mistyped.Value + ")"
	case errors.As(err, &mistyped):
		return fmt.Sprintf("%s in it can't be of the kind %s", strings.TrimPrefix(mistyped.Field, "."), mistyped.Value)
	}
	if m := otherKind.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Sprintf("it is a document of the kind %s, not %s", Printable(m[2]), m[1])
	}
	return ""
}

// unsigned says by how many signatures a document falls short.
func unsigned(path string, root *metadata.Metadata[metadata.RootType], role string, document any) error {
	have, need := len(Signers(root, role, document)), root.Signed.Roles[role].Threshold
	text := fmt.Sprintf("it has %d of the %d signatures that root %d asks for", have, need, root.Signed.Version)
	switch {
	case signatures(document) == 0:
		text = "nobody has signed it"
	case have == 0:
		text = fmt.Sprintf("no key that root %d names for it has signed it (a key that was replaced, or somebody else's, does not count)",
			root.Signed.Version)
	}
	return fmt.Errorf("%s is %w: %s", path, ErrForged, text)
}

// signatures counts the signatures of a document, whosever they are.
func signatures(document any) int {
	switch m := document.(type) {
	case *metadata.Metadata[metadata.RootType]:
		return len(m.Signatures)
	case *metadata.Metadata[metadata.TimestampType]:
		return len(m.Signatures)
	case *metadata.Metadata[metadata.SnapshotType]:
		return len(m.Signatures)
	case *metadata.Metadata[metadata.TargetsType]:
		return len(m.Signatures)
	}
	return -1
}

// notNext refuses a root that leaves out a number: the keys of the one in between have not agreed to it.
func notNext(path string, before int64, data []byte) error {
	root, err := parseRoot(path, data)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s is %w: it is root %d, and after root %d only root %d can come", path, ErrDamaged, root.Signed.Version, before, before+1)
}
