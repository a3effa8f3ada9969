package update

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"dhow/agent/api"
	"dhow/agent/change"
	"dhow/bundle"
	"dhow/manifest/trust"
)

// hinted is a source that only says something about itself.
type hinted struct {
	bundle.Source
	since string
}

func (h hinted) Name() string { return "/media/usb/emr.tgz" }

func (h hinted) Document(_ context.Context, path string, _ int64) ([]byte, error) {
	if path != bundle.HintPath {
		return nil, fs.ErrNotExist
	}
	return bundle.Hint{Releases: []string{"1.2.0"}, Since: h.since}.Encode()
}

func TestBundleThatBuildsOnARelease(t *testing.T) {
	m := &Manager{Parts: Parts{Trust: &trust.Client{}}}
	const full = "ask the central team for a full bundle"
	for _, c := range []struct {
		name, since string
		good        *Good
		here, hint  string // nothing when it is taken
	}{
		{"a full one", "", nil, "", ""},
		{"what runs", "1.1.0", &Good{Release: "1.1.0", Digest: digest.FromString("a")}, "", ""},
		{"another", "1.1.0", &Good{Release: "1.0.0", Digest: digest.FromString("a")}, "1.0.0 runs", full + ", or for one since 1.0.0"},
		{"taken over", "1.1.0", &Good{Release: "adopted"}, "a stack runs that was taken over", full},
		{"a new site", "1.1.0", nil, "no release runs yet", full},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := m.buildsOn(t.Context(), hinted{since: c.since}, c.good)
			if c.here == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var f *change.Failure
			want := "/media/usb/emr.tgz holds what is new since 1.1.0, and here " + c.here
			if !errors.As(err, &f) || f.Code != api.CodeRefused || f.Hint != c.hint || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("\n got %v\nwant %s", err, want)
			}
		})
	}
}
