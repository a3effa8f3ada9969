package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// AgentFormat is the newest format of Agent that this code reads.
const AgentFormat = 1

// Limits of Agent. Sizes are in bytes.
const (
	MaxAgent   = 256 << 10
	MaxProgram = 512 << 20 // of one program

	maxAgentValues    = 20_000
	maxAgentPlatforms = 32
)

// Agent is a version of the program that sites run, dhow itself: for each platform the program and the ways to get it. It is a TUF target named
// AgentPath(version), stored as JSON. The programs of a version never change; deltas may be added as there are more versions that sites come from.
type Agent struct {
	Format    int            `json:"format"`
	Fleet     string         `json:"fleet"`
	Version   string         `json:"version"`
	Platforms []AgentProgram `json:"platforms"` // each once
}

// AgentProgram is the program for one platform.
type AgentProgram struct {
	Platform string        `json:"platform"` // as NormalizePlatform returns it
	Digest   digest.Digest `json:"digest"`   // of the file
	Size     int64         `json:"size"`     // of the file
	Full     Blob          `json:"full"`     // the file as one zstd stream
	// Deltas are of package bundle/delta, from one file to the other; Base is the digest of the older file, From its version.
	Deltas []Delta `json:"deltas,omitempty"`
}

// AgentPath is the TUF target path of a version of the agent.
func AgentPath(version string) string { return "agent/" + version + ".json" }

// AgentOfPath returns the version of the agent that a TUF target path names.
func AgentOfPath(path string) (version string, ok bool) {
	version, ok = strings.CutPrefix(path, "agent/")
	if ok {
		version, ok = strings.CutSuffix(version, ".json")
	}
	return version, ok
}

// For returns the program for a platform; the error wraps ErrPlatform.
func (a *Agent) For(platform string) (AgentProgram, error) {
	p, err := NormalizePlatform(platform)
	if err != nil {
		return AgentProgram{}, err
	}
	var have []string
	for _, program := range a.Platforms {
		if program.Platform == p {
			return program, nil
		}
		have = append(have, program.Platform)
	}
	return AgentProgram{}, fmt.Errorf("agent %s: %w: it is there for %s, this computer is %s", a.Version, ErrPlatform, strings.Join(have, ", "), p)
}

// Blobs returns all content that a names, each digest once.
func (a *Agent) Blobs() (list []Blob) {
	seen := map[digest.Digest]bool{}
	for _, p := range a.Platforms {
		for _, b := range append([]Blob{p.Full}, blobsOf(p.Deltas)...) {
			if !seen[b.Digest] {
				seen[b.Digest] = true
				list = append(list, b)
			}
		}
	}
	return list
}

func blobsOf(deltas []Delta) (list []Blob) {
	for _, d := range deltas {
		list = append(list, d.Blob)
	}
	return list
}

// Layer is the program as if it were a layer of an image: what gets layers over the fewest bytes gets programs, too.
func (p AgentProgram) Layer() Layer {
	return Layer{Blob: p.Full, DiffID: p.Digest, DiffSize: p.Size}
}

// Ways are the ways to that layer. The base of a delta is an image by the digest of its only layer.
func (p AgentProgram) Ways(version, fleet string) *Ways {
	return &Ways{
		Format: WaysFormat, Fleet: fleet, Version: version,
		Layers: []LayerWays{{DiffID: p.Digest, Deltas: p.Deltas}},
	}
}

// ParseAgent reads a document and validates it.
func ParseAgent(data []byte) (*Agent, error) {
	return valid[Agent]("agent", data, JSONLimits{Size: MaxAgent, Depth: maxDepth, Values: maxAgentValues}, AgentFormat)
}

// Encode returns the document that ParseAgent reads, in one order: the same agent gives the same bytes.
func (a *Agent) Encode() ([]byte, error) {
	sorted := *a
	sorted.Platforms = slices.Clone(a.Platforms)
	slices.SortFunc(sorted.Platforms, func(a, b AgentProgram) int { return cmp.Compare(a.Platform, b.Platform) })
	for i, p := range sorted.Platforms {
		sorted.Platforms[i].Deltas = sortedDeltas(p.Deltas)
	}
	if err := sorted.Validate(); err != nil {
		return nil, err
	}
	data, err := encode(&sorted, MaxAgent)
	if err != nil {
		return nil, fmt.Errorf("cannot write agent %s: %w", a.Version, err)
	}
	return append(data, '\n'), nil
}

// Validate fails with ErrInvalid or ErrTooLarge, naming the place.
func (a *Agent) Validate() error {
	c := &checker{what: "agent " + quoted(a.Version)}
	c.must(checkFormat(a.Format, AgentFormat))
	c.text("fleet", a.Fleet, 63, false)
	c.version("version", a.Version, false)
	c.count("platforms", len(a.Platforms), maxAgentPlatforms)
	if len(a.Platforms) == 0 {
		c.fail("it is there for no platform")
	}
	seen := map[string]bool{}
	for _, p := range a.Platforms {
		c.at("platform %s", quoted(p.Platform))
		if normal, err := NormalizePlatform(p.Platform); err != nil || normal != p.Platform {
			c.fail("it looks like linux/amd64")
		}
		if seen[p.Platform] {
			c.fail("it is there twice")
		}
		seen[p.Platform] = true
		c.digest("digest", p.Digest)
		if p.Size <= 0 || p.Size > MaxProgram {
			c.fail("the program has %d bytes", p.Size)
		}
		c.way("full", p.Full)
		c.deltas(p.Deltas)
	}
	return c.err
}

// SameProgram reports whether two documents of a version name the same programs: for platforms that both have.
func (a *Agent) SameProgram(b *Agent) bool {
	for _, p := range a.Platforms {
		for _, q := range b.Platforms {
			if p.Platform == q.Platform && p.Digest != q.Digest {
				return false
			}
		}
	}
	return a.Version == b.Version
}

// AgentsOf lists the versions of the agent that a fleet pins, from old to new.
func (f *Fleet) AgentsOf() (list []string) {
	all := map[string]bool{f.Agent: true}
	for _, r := range f.Rings {
		all[r.Agent] = true
	}
	delete(all, "")
	list = sorted(all)
	SortVersions(list)
	return list
}
