package update

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"dhow/agent/api"
	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest"
	"dhow/manifest/trust"
)

// judge reads the signed documents of a bundle and says what it is good for. Their signatures are verified on a scratch copy of what this site
// trusts, as an update would, and nothing is kept of it; the bytes of the release are verified by the update, before anything stops.
func (m *Manager) judge(ctx context.Context, o api.Offer) find {
	f := find{offer: o}
	src, err := fetch.Open(ctx, o.Path)
	if err == nil {
		defer src.Close()
		hint, herr := bundle.ReadHint(ctx, src)
		f.since = herr == nil && hint.Since != ""
		err = m.weigh(ctx, src, hint, &f)
		if err != nil {
			m.misfit(hint, err, &f)
		}
		return f
	}
	m.misfit(bundle.Hint{}, err, &f)
	return f
}

// weigh is judge for a source that was opened.
func (m *Manager) weigh(ctx context.Context, src bundle.Source, hint bundle.Hint, f *find) error {
	client := m.Trust.Scratch()
	current, err := client.Refresh(ctx, src, true)
	if err != nil {
		return err
	}
	f.number, f.ours = current.Number, true
	good, err := m.good()
	if err != nil {
		return err
	}
	if good != nil && current.Number < good.Manifest {
		return trust.ErrStale
	}
	as, err := current.Fleet.Assignment(m.Config.Site)
	if err != nil {
		f.is(api.OfferForeign, "")
		return nil
	}
	if who := hint.Others(as.Site, as.Ring); who != "" {
		f.is(api.OfferOthers, "", "name", strings.TrimPrefix(strings.TrimPrefix(who, "site "), "ring "))
		return nil
	}
	if good != nil && good.Release == as.Pin {
		f.is(api.OfferCurrent, as.Pin)
		return nil
	}
	holds := len(hint.Releases) == 0 || slices.Contains(hint.Releases, as.Pin)
	if as.Hold != nil || as.Pin == "" || !holds {
		f.is(api.OfferNothing, "")
		return nil
	}
	release, d, err := client.Release(ctx, src, as.Pin)
	if err != nil {
		return err
	}
	f.offer.Release = as.Pin
	f.offer.Note = pickNote(release.Notes, append([]string{m.config().Language}, m.policy().Languages...))
	bad, err := m.bad()
	if err != nil {
		return err
	}
	switch {
	case findBad(bad, d) != nil:
		f.is(api.OfferFailed, as.Pin)
	case good != nil && good.Dir == "" && manifest.CompareVersions(as.Pin, good.Release) < 0 && !as.Downgrade:
		f.is(api.OfferOlder, as.Pin)
	case good != nil && manifest.CompareVersions(as.Pin, good.Release) > 0 && release.Allows(good.Release) != nil:
		f.is(api.OfferNothing, "")
	case m.buildsOn(ctx, src, good) != nil:
		f.is(api.OfferSince, as.Pin, "since", hint.Since)
	default:
		f.is(api.OfferInstall, as.Pin)
		f.release = d
	}
	return nil
}

// is says what a bundle is good for.
func (f *find) is(kind, release string, args ...string) {
	f.offer.Kind, f.offer.Release = kind, release
	if release != "" {
		args = append(args, "release", release)
	}
	f.offer = with(f.offer, args...)
}

// misfit says what is wrong with a bundle that can't be used.
func (m *Manager) misfit(hint bundle.Hint, err error, f *find) {
	var named []string
	for _, v := range hint.Releases {
		if _, err := manifest.ParseVersion(v); err == nil {
			named = append(named, v)
		}
	}
	manifest.SortVersions(named)
	newest := ""
	if len(named) > 0 {
		newest = named[len(named)-1]
	}
	problem := []string{"problem", plainly(err)}
	switch {
	case errors.Is(err, context.DeadlineExceeded): // it is long, and its beginning is no bundle's
		f.none = true
	case errors.Is(err, trust.ErrOtherFleet), errors.Is(err, trust.ErrForged):
		f.is(api.OfferForeign, "")
	case errors.Is(err, trust.ErrStale):
		f.ours = true // what is stale was signed by this fleet
		f.is(api.OfferOlder, newest)
	case errors.Is(err, bundle.ErrUnreachable):
		f.is(api.OfferUnreadable, "", problem...)
	case errors.Is(err, bundle.ErrNoMetadata), errors.Is(err, trust.ErrNothing), errors.Is(err, trust.ErrNoRoot):
		f.none = true
	case errors.Is(err, trust.ErrDamaged), errors.Is(err, bundle.ErrDamaged), errors.Is(err, bundle.ErrTooLarge), errors.Is(err, bundle.ErrUnsafePath),
		errors.Is(err, trust.ErrUnknownRelease), errors.Is(err, manifest.ErrNewer), errors.Is(err, manifest.ErrInvalid):
		f.is(api.OfferDamaged, "", problem...)
	case errors.Is(err, fs.ErrNotExist):
		f.none = true
	default:
		f.is(api.OfferUnreadable, "", problem...)
	}
}

// plainly is an error as it is told beside a sentence: of one line, and not long.
func plainly(err error) string { return short(strings.Join(strings.Fields(err.Error()), " ")) }

// short bounds a text that a stick has given.
func short(s string) string {
	const most = 200
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + " …"
	}
	return s
}
