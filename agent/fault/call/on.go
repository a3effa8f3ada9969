//go:build faults

package call

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/docker/docker/client"

	"dhow/agent/fault"
)

func watch(c *client.Client) error {
	h := c.HTTPClient()
	h.Transport = points{h.Transport}
	return client.WithHTTPClient(h)(c)
}

type points struct{ http.RoundTripper }

func (p points) RoundTrip(r *http.Request) (*http.Response, error) {
	if !fault.Marked(r.Context()) {
		return p.RoundTripper.RoundTrip(r)
	}
	name := "engine/" + name(r)
	if err := fault.Point(name + "/before"); err != nil {
		return nil, err
	}
	resp, err := p.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := fault.Point(name + "/after"); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// words are the parts of a path of the engine's API that are no names of things.
var words = regexp.MustCompile(`^(_ping|version|info|events|containers|images|networks|volumes|exec|json|create|start|stop|kill|wait|update|` +
	`attach|archive|logs|restart|rename|resize|connect|disconnect|prune|load|get|tag|history|search|distribution|system|df)$`)

// name is what is asked for, without names of things: "containers-create", "container-start", "container-delete".
func name(r *http.Request) string {
	var parts []string
	for _, part := range strings.Split(r.URL.Path, "/") {
		switch n := len(parts); {
		case words.MatchString(part):
			parts = append(parts, strings.TrimPrefix(part, "_"))
		case n > 0:
			parts[n-1] = strings.TrimSuffix(parts[n-1], "s")
		}
	}
	if r.Method == http.MethodDelete {
		parts = append(parts, "delete")
	}
	return strings.Join(parts, "-")
}
