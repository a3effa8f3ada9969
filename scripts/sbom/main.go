// Command sbom writes what a Go program is made of as CycloneDX 1.5 (JSON): sbom NAME VERSION TIME FILE. It reads what the Go linker has put
// into the file, so it says what is in there, not what go.mod would allow. The same file gives the same bytes.
package main

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

type document struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Ref        string     `json:"bom-ref"`
	Type       string     `json:"type"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Licenses   []license  `json:"licenses,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type license struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn,omitempty"`
}

func main() {
	if len(os.Args) != 5 {
		fail("use it like this: sbom NAME VERSION TIME FILE")
	}
	info, err := buildinfo.ReadFile(os.Args[4])
	if err != nil {
		fail(err.Error())
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(bill(os.Args[1], os.Args[2], os.Args[3], info)); err != nil {
		fail(err.Error())
	}
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, "sbom: "+text)
	os.Exit(1)
}

// bill lists the modules of a program in the order that the linker gives, by name, the standard library first.
func bill(name, version, at string, info *debug.BuildInfo) document {
	program := component{Ref: name + "@" + version, Type: "application", Name: name, Version: version, Licenses: make([]license, 1)}
	program.Licenses[0].License.ID = "Apache-2.0"
	for _, s := range info.Settings { // GOOS, GOARCH, GOARM and the like, CGO_ENABLED, -tags
		if strings.HasPrefix(s.Key, "GO") || s.Key == "CGO_ENABLED" || s.Key == "-tags" {
			program.Properties = append(program.Properties, property{"cdx:gomod:build:env:" + s.Key, s.Value})
		}
	}
	d := document{
		Schema: "http://cyclonedx.org/schema/bom-1.5.schema.json", Format: "CycloneDX", Spec: "1.5", Version: 1,
		Metadata: metadata{at, program},
	}
	std := component{Ref: "std", Type: "library", Name: "std", Version: info.GoVersion, PURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")}
	d.Components = append(d.Components, std)
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component{Type: "library", Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")}
		c.Ref = c.PURL
		// go.sum holds a SHA-256 over the list of the files' SHA-256.
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) > 0 {
			c.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum)}}
		}
		d.Components = append(d.Components, c)
	}
	of := dependency{Ref: program.Ref}
	for _, c := range d.Components {
		of.On = append(of.On, c.Ref)
	}
	d.Dependencies = []dependency{of}
	return d
}
