package author

import (
	"path/filepath"
	"testing"

	"dhow/manifest"
)

// Every way in which a compose file can ask for a variable, and what becomes of it.
func TestSettings(t *testing.T) {
	for _, c := range []struct {
		name, service string
		settings      []manifest.Setting
		variables     map[string]string
	}{
		{"bare", `hostname: h-$A`, []manifest.Setting{{Name: "A", Required: true}}, nil},
		{"braces", `hostname: h-${A}`, []manifest.Setting{{Name: "A", Required: true}}, nil},
		{"required", `hostname: h-${A?}`, []manifest.Setting{{Name: "A", Required: true}}, nil},
		{"default", `hostname: ${A:-x}`, []manifest.Setting{{Name: "A", Default: "x"}}, nil},
		{"empty default", `command: "run ${A:-}"`, []manifest.Setting{{Name: "A"}}, nil},
		{"hard default", `hostname: ${A-x}`, []manifest.Setting{{Name: "A", Default: "x"}}, nil},
		{"presence", `command: "run ${A:+--flag}"`, []manifest.Setting{{Name: "A"}}, nil},
		{"default and required", `command: "${A:-x} ${A:?}"`, []manifest.Setting{{Name: "A", Required: true}}, nil},
		{"nested", `hostname: ${A:-${B:-x}}`, []manifest.Setting{{Name: "A", Default: "x"}, {Name: "B", Default: "x"}}, nil},
		{"nested without default", `command: "run ${A:-$B}"`, []manifest.Setting{{Name: "A"}, {Name: "B"}}, nil},
		{"default from the release", `hostname: ${A:-h$GIVEN}`, []manifest.Setting{{Name: "A", Default: "h7"}}, map[string]string{"GIVEN": "7"}},
		{"given", `hostname: h-${GIVEN:?}`, nil, map[string]string{"GIVEN": "7"}},
		{"escaped", `command: "echo $$A"`, nil, nil},
		{"passed through", `environment: [A, B=1]`, []manifest.Setting{{Name: "A"}}, nil},
		{"passed through by key", "environment: {A: , B: 1}", []manifest.Setting{{Name: "A"}}, nil},
		{"given and passed through", `environment: [GIVEN]`, nil, map[string]string{"GIVEN": "7"}},
		{"secret", "secrets: [s]\nsecrets:\n  s: {environment: A}", []manifest.Setting{{Name: "A", Required: true}}, nil},
		{"another profile", "hostname: x\n  tool: {image: \"t:1\", profiles: [p], hostname: \"h-${A:?}\"}", []manifest.Setting{{Name: "A", Required: true}}, nil},
		{"compose's own", `hostname: ${COMPOSE_PROJECT_NAME}`, nil, nil},
		{"env_file", `env_file: a.env`, []manifest.Setting{{Name: "IN_FILE", Required: true}, {Name: "PASSED"}}, nil},
		{"env_file with what the service sets", "env_file: a.env\n    environment: {IN_FILE: x}", []manifest.Setting{{Name: "PASSED"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, map[string]string{
				"compose.yaml": app + "    " + c.service + "\n", "r.env": "GIVEN=7\n",
				"a.env": "# $COMMENT\nOWN=1\nX=${OWN} ${IN_FILE}\nPASSED\nY='${QUOTED}'\nexport Z=z\n",
			})
			o.EnvFiles = []string{filepath.Join(filepath.Dir(o.Files[0]), "r.env")}
			r, _, err := Create(t.Context(), o)
			check(t, err)
			equal(t, "settings", r.Settings, c.settings)
			if c.variables == nil {
				c.variables = map[string]string{}
			}
			equal(t, "variables", r.Variables, c.variables)
		})
	}
}

func TestImageVariables(t *testing.T) {
	r, _, err := Create(t.Context(), options(t, map[string]string{"compose.yaml": `
services:
  a: {image: "${COMPOSE_PROJECT_NAME}/a:${TAG:-1}", hostname: "h-${TAG:-1}"}
  b: {image: "b:${OTHER:-1}", hostname: "h-${OTHER:-2}"}
x-dhow: {notes: {en: "Version ${TAG}"}}
`}))
	check(t, err)
	equal(t, "image", []string{r.Images[0].Ref, r.Images[1].Ref}, []string{"b:1", "p/a:1"})
	equal(t, "variables", r.Variables, map[string]string{"TAG": "1"})
	equal(t, "notes", r.Notes, map[string]string{"en": "Version 1"})
	equal(t, "settings", len(r.Settings), 0) // OTHER keeps its defaults as they stand
}
