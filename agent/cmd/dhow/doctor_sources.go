package main

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"dhow/bundle"
	"dhow/bundle/fetch"
	"dhow/manifest/trust"
)

// checkSources asks every source for its manifest, all at once, and holds it against what this site trusts. One that answers is enough.
func checkSources(ctx context.Context, p *patient) []finding {
	if p.config == nil || p.trust == nil {
		return nil
	}
	if len(p.config.Sources) == 0 {
		return warn("doctor.source.none", "doctor.source.add", "file", p.paths.Config())
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("no answer within 20 seconds"))
	defer cancel()
	numbers, errs := make([]int64, len(p.config.Sources)), make([]error, len(p.config.Sources))
	var all sync.WaitGroup
	for i, spec := range p.config.Sources {
		all.Go(func() { numbers[i], errs[i] = askSource(ctx, p, spec) })
	}
	all.Wait()
	answered := false
	for _, err := range errs {
		answered = answered || err == nil
	}
	var list []finding
	for i, spec := range p.config.Sources {
		err := errs[i]
		if err == nil {
			list = append(list, good("doctor.source.good", "source", fetch.Redact(spec), "manifest", numbers[i])...)
			continue
		}
		result := isBad
		if answered {
			result = isWarning
		}
		list = append(list, noSource(result, spec, err)...)
	}
	return list
}

func askSource(ctx context.Context, p *patient, spec string) (int64, error) {
	src, err := p.network.Open(ctx, spec)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	m, err := p.trust.Scratch().Refresh(ctx, src, !strings.Contains(src.Name(), "://"))
	if err != nil {
		return 0, err
	}
	return m.Number, nil
}

// about makes sure that an error names its source.
func about(spec string, err error) string {
	text := err.Error()
	if !strings.Contains(text, spec) {
		text = spec + ": " + text
	}
	return text
}

// noSource says what is wrong with a source, and what to do about it.
func noSource(result, spec string, err error) []finding {
	text := about(fetch.Redact(spec), err)
	switch {
	case errors.Is(err, bundle.ErrUnreachable) && !strings.Contains(spec, "://"):
		return said(result, "source.away", text, "doctor.source.plug")
	case errors.Is(err, trust.ErrExpired):
		return said(result, "source.expired", text, "doctor.source.publish")
	case errors.Is(err, fetch.ErrRefused):
		return said(result, "source.refused", text, "doctor.login.again", "host", hostOf(spec))
	case fetch.Distrusted(err):
		return said(result, "source.distrusted", text, "doctor.tls.look", "host", hostOf(spec))
	case errors.Is(err, bundle.ErrUnreachable):
		return said(result, "source.away", text, "doctor.source.line")
	}
	e := explain(trustError(err))
	own := *e
	own.Message = text
	if own.Args["cause"] != "" {
		own.Args = maps.Clone(own.Args)
		own.Args["cause"] = text
	}
	return failed(result, "source.bad", &own)
}
