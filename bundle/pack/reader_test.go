package pack_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"dhow/bundle/bundletest"
	"dhow/bundle/fetch"
	"dhow/bundle/pack"
	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/trust"
)

// some is so many sites that their list is parted during the test.
const some = 240

// pollDuring lets sites poll source in a tight loop while manifests are published to place. None of them may ever get an error, see a number
// that it has passed, or a fleet that is not that of its number.
func pollDuring(t *testing.T, place, source string, publications int) {
	t.Helper()
	f := manifesttest.New(t, "drc")
	store := bundletest.Store(t)
	f.AddRelease("1.0.0", nil)
	f.Assign("", "pilot", "1.0.0")
	for n := range some {
		if err := f.Fleet().SetSite(fmt.Sprintf("lab-%03d", n), manifest.Site{Ring: "pilot"}); err != nil {
			t.Fatal(err)
		}
	}
	next := func(n int) {
		t.Helper()
		f.Assign(fmt.Sprintf("kin-%03d", n), "pilot", "1.0.0") // as many sites as the number says
		claim, err := pack.Begin(ctx, place, pack.Publisher{By: "test", ID: "t", Settle: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer claim.End()
		if err := claim.Publish(ctx, pack.Contents{Documents: f.Publish(), Store: store}, nil); err != nil {
			t.Fatal(err)
		}
	}
	next(1)
	done := make(chan struct{})
	results := make(chan error, 2)
	for _, keeps := range []bool{true, false} { // a site that remembers, and one that begins anew each time
		go func() {
			network := fetch.NewNetwork()
			defer network.Close()
			results <- poll(network, source, f.Root, keeps, done)
		}()
	}
	for n := 2; n <= publications; n++ {
		next(n)
	}
	close(done)
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func poll(network *fetch.Network, source string, root []byte, keeps bool, done chan struct{}) error {
	var client *trust.Client
	var number int64
	for polls := 0; ; polls++ {
		select {
		case <-done:
			if polls < 10 {
				return fmt.Errorf("only %d polls", polls)
			}
			return nil
		default:
		}
		if client == nil || !keeps {
			var err error
			if client, err = trust.Scratch(root, trust.Options{}); err != nil {
				return err
			}
		}
		src, err := network.Open(ctx, source)
		if err != nil {
			return err
		}
		m, err := client.Refresh(ctx, src, false)
		if err = errors.Join(err, src.Close()); err != nil {
			return fmt.Errorf("poll %d, after manifest %d: %w", polls, number, err)
		}
		if m.Number < number {
			return fmt.Errorf("poll %d: from manifest %d back to %d", polls, number, m.Number)
		}
		number = m.Number
		if sites := len(m.Fleet.Sites); int64(sites) != number+some {
			return fmt.Errorf("poll %d: manifest %d has %d sites", polls, number, sites)
		}
	}
}

func TestPollingDuringPublications(t *testing.T) {
	t.Run("folder", func(t *testing.T) {
		dir := t.TempDir()
		web := httptest.NewServer(http.FileServer(http.Dir(dir)))
		t.Cleanup(web.Close)
		pollDuring(t, dir, web.URL, 30)
	})
	t.Run("registry", func(t *testing.T) {
		reg := newRegistry(t)
		pollDuring(t, reg.spec(), reg.spec(), 20)
	})
}
