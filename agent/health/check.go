package health

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dhow/agent/fault"
	"dhow/manifest"
)

// Probe is how a check reaches the stack. Address returns the IP address of a service's container; Query runs a query on a
// database service and returns the first field of the first row; Previous is the result of the same query before the update, ""
// when there is none.
type Probe struct {
	Address  func(service string) (ip string, err error)
	Query    func(ctx context.Context, service, query string) (string, error)
	Previous string
}

// Check runs one check of a release until it succeeds or its time (c.Within, default 2 minutes) is over, and returns what it
// saw: the HTTP status, or the value of the query. It fails with a *Failure that says what was wrong last; when ctx ends, with
// ctx's error.
func Check(ctx context.Context, c manifest.Check, p Probe) (result string, err error) {
	try, err := prepare(c, p)
	if err != nil {
		return "", &Failure{c.SQL, fmt.Sprintf("check %q cannot run: %v", c.Name, err)}
	}
	within := c.Within
	if within <= 0 {
		within = defaultCheck
	}
	start := time.Now()
	for pause := firstPause; ; pause = min(pause*5/4, lastPause) {
		// One try gets what is left, but at least a little: Within may be short and the first answer slow.
		attempt, cancel := context.WithTimeout(ctx, max(within-time.Since(start), time.Second))
		service, result, err := try(attempt)
		cancel()
		err = errors.Join(err, fault.Point("health/check"))
		if err == nil {
			return result, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		left := within - time.Since(start)
		if left <= 0 {
			return result, &Failure{service, fmt.Sprintf("check %q failed for %v: %s", c.Name, within, brief(err.Error(), 400))}
		}
		if err := sleep(ctx, min(pause, left)); err != nil {
			return "", err
		}
	}
}

// attempt is one try of a check: the service asked, and what it answered.
type attempt func(ctx context.Context) (service, result string, err error)

func prepare(c manifest.Check, p Probe) (attempt, error) {
	switch {
	case c.HTTP != "" && c.SQL != "":
		return nil, errors.New("it has both a URL and a database")
	case c.HTTP != "":
		return prepareHTTP(c, p)
	case c.SQL != "" && c.Query != "":
		return prepareSQL(c, p)
	}
	return nil, errors.New("it has neither a URL nor a query")
}

func prepareSQL(c manifest.Check, p Probe) (attempt, error) {
	least := c.AtLeast
	if least == "previous" {
		least = p.Previous
	}
	if _, err := strconv.ParseFloat(least, 64); least != "" && err != nil {
		return nil, fmt.Errorf("%q is no number", least)
	}
	return func(ctx context.Context) (string, string, error) {
		value, err := p.Query(ctx, c.SQL, c.Query)
		value = strings.TrimSpace(value)
		if err != nil || least == "" {
			return c.SQL, value, err
		}
		less, err := below(value, least)
		if err != nil {
			return c.SQL, value, err
		}
		if less {
			return c.SQL, value, fmt.Errorf("%s answered %s, expected at least %s", c.SQL, value, least)
		}
		return c.SQL, value, nil
	}, nil
}

// below compares two numbers, whole ones exactly.
func below(a, b string) (bool, error) {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	if errX == nil && errY == nil {
		return x < y, nil
	}
	f, err := strconv.ParseFloat(a, 64)
	if err != nil {
		return false, fmt.Errorf("the query answered %q, which is no number", brief(a, 40))
	}
	g, err := strconv.ParseFloat(b, 64)
	return !(f >= g), err // NaN is never enough
}
