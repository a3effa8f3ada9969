package manifest

import (
	"errors"
	"slices"
	"testing"
)

func TestTakesBack(t *testing.T) {
	release := func(version, data, server string) *Release {
		return &Release{
			Version: version, Rollback: Rollback{Data: data},
			Databases: []Database{{Service: "db", Engine: "mariadb", Version: server}},
		}
	}
	old := release("1.0.0", "restore", "10.11.6")
	for _, test := range []struct {
		left []*Release
		want string
	}{
		{[]*Release{release("1.1.0", "keep", "10.11.9")}, ""},
		{[]*Release{release("1.1.0", "keep", ""), release("1.2.0", "keep", "10.11.6")}, ""},
		{
			[]*Release{release("1.1.0", "restore", "10.11.6"), release("1.2.0", "keep", "10.11.6")},
			"a pin can't take a site back from 1.2.0 to 1.0.0: release 1.1.0 says that an older one needs the data from before it (rollback: restore)",
		},
		{
			[]*Release{release("1.1.0", "keep", "11.4.2")},
			"a pin can't take a site back from 1.1.0 to 1.0.0: database db is MariaDB 10.11 in release 1.0.0 and MariaDB 11.4 in release 1.1.0: " +
				"its data do not go from one to the other",
		},
	} {
		err := old.TakesBack(test.left)
		if test.want == "" && err != nil || test.want != "" && (!errors.Is(err, ErrBack) || err.Error() != test.want) {
			t.Errorf("got %v\nwant %s", err, test.want)
		}
	}
	if got := Between([]string{"0.9.0", "1.0.0", "1.1.0", "1.2.0-rc.1", "1.2.0", "1.3.0"}, "1.2.0", "1.0.0"); !slices.Equal(got, []string{"1.1.0", "1.2.0-rc.1", "1.2.0"}) {
		t.Errorf("between: %v", got)
	}
}
