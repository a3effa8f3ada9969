package author

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dhow/manifest"
)

func TestExtension(t *testing.T) {
	o := options(t, map[string]string{"compose.yaml": `
x-dhow:
  from: ">=1.0.0 <1.2.0"
  entry: [gateway]
  databases:
    db: {engine: mysql, databases: [openmrs], user: backup, password_env: BACKUP_PASSWORD}
  volumes:
    cache: {backup: none}
  checks:
    - {name: login page, http: "http://gateway/openmrs/login.htm?v=${TAG}", status: 200, contains: OpenMRS, within: 15m}
    - {name: patients are there, sql: db, query: "select count(*) from openmrs.patient", at_least: previous}
  migrate:
    - {service: migrate, timeout: 2h}
  rollback: {data: keep}
  notes: {en: "New form", fr: "Nouveau formulaire"}
services:
  gateway: {image: "gw:${TAG}", ports: ["80:80"], volumes: ["cache:/cache"]}
  admin: {image: "gw:${TAG}", ports: ["8080:80"]}
  db: {image: "store:1", volumes: ["data:/data"]}
  migrate: {image: "tool:1", profiles: [migrate]}
volumes: {cache: , data: }
`, "r.env": "TAG=7\n"})
	o.EnvFiles = []string{filepath.Join(filepath.Dir(o.Files[0]), "r.env")}
	r, _, err := Create(t.Context(), o)
	check(t, err)
	equal(t, "from", r.From, ">=1.0.0 <1.2.0")
	equal(t, "entry", r.Entry, []string{"gateway"})
	equal(t, "databases", r.Databases, []manifest.Database{
		{Service: "db", Engine: "mysql", Databases: []string{"openmrs"}, User: "backup", PasswordEnv: "BACKUP_PASSWORD"},
	})
	equal(t, "volumes", r.Volumes, []manifest.Volume{
		{Name: "cache", Services: []string{"gateway"}, Backup: "none"}, {Name: "data", Services: []string{"db"}},
	})
	equal(t, "checks", r.Checks, []manifest.Check{
		{Name: "login page", HTTP: "http://gateway/openmrs/login.htm?v=7", Status: 200, Contains: "OpenMRS", Within: 15 * time.Minute},
		{Name: "patients are there", SQL: "db", Query: "select count(*) from openmrs.patient", AtLeast: "previous"},
	})
	equal(t, "migrate", r.Migrate, []manifest.Migrate{{Service: "migrate", Timeout: 2 * time.Hour}})
	equal(t, "rollback", r.Rollback.Data, "keep")
	equal(t, "notes", r.Notes, map[string]string{"en": "New form", "fr": "Nouveau formulaire"})
	var services []string
	for _, i := range r.Images {
		services = append(services, i.Services...)
	}
	slices.Sort(services)
	equal(t, "services with images", services, []string{"admin", "db", "gateway", "migrate"})
}

func TestExtensionErrors(t *testing.T) {
	for _, c := range []struct{ name, x, text, hint string }{
		{"typo", "check: []", `compose.yaml:5:3: unknown key "check" in x-dhow`, `did you mean "checks"?`},
		{
			"unknown", "zebra: 1", `compose.yaml:5:3: unknown key "zebra" in x-dhow`,
			"known are: checks, databases, entry, from, migrate, notes, rollback, volumes",
		},
		{"deep typo", "checks: [{http: \"http://app/\", statsu: 200}]", `compose.yaml:5:34: unknown key "statsu" in checks`, `did you mean "status"?`},
		{"twice", "from: \"1\"\n  from: \"2\"", "", ""},
		{"no kind", "checks: [{name: x}]", "compose.yaml:5:12: a check needs either http or sql", ""},
		{"no query", "checks: [{sql: app}]", "compose.yaml:5:12: a check with sql needs a query", ""},
		{"list", "checks: {}", "compose.yaml:5:11: checks must be a list", ""},
		{"mapping", "databases: [db]", "compose.yaml:5:14: databases must be a mapping (key: value)", ""},
		{"duration", "checks: [{http: \"http://app/\", within: soon}]", `compose.yaml:5:42: "soon" is not a length of time such as 90s, 15m or 2h`, ""},
		{"number", "checks: [{http: \"http://app/\", status: ok}]", `compose.yaml:5:42: "ok" is not a number`, ""},
		{"choice", "rollback: {data: maybe}", `compose.yaml:5:20: "maybe" is not one of restore, keep`, ""},
		{
			"setting", "notes: {en: \"${CLINIC:-x}\"}",
			"compose.yaml:5:15: ${CLINIC:-x} depends on the setting CLINIC, and what stands under x-dhow is the same for every site",
			"give it a value with --env-file, or write $$ for a dollar sign",
		},
		{"entry", "entry: [ap]", `compose.yaml:5:10: there is no service "ap"`, `did you mean "app"?`},
		{"entry without port", "entry: [app]", "compose.yaml:5:10: service app publishes no port", ""},
		{"check host", "checks: [{http: \"http://gateway/\"}]", `compose.yaml:5:12: there is no service "gateway"`, "there are: app"},
		{"check db", "checks: [{sql: app, query: select 1}]", `compose.yaml:5:12: there is no database service "app"`, "there are: none"},
		{"volume", "volumes: {data: {backup: none}}", `compose.yaml:5:19: there is no named volume "data"`, "there are: none"},
		{"database", "databases: {bd: {engine: mysql}}", `compose.yaml:5:19: there is no service "bd"`, "there are: app"},
		{"engine", "databases: {app: {}}", "compose.yaml:5:20: which database server is in service app can't be seen", "say engine: mariadb, engine: mysql or engine: postgresql"},
		{"migrate", "migrate: [{service: mig}]", `compose.yaml:5:13: there is no service "mig"`, "there are: app"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Create(t.Context(), options(t, map[string]string{"compose.yaml": app + "x-dhow:\n  " + c.x + "\n"}))
			if c.text == "" {
				if err == nil || !strings.Contains(err.Error(), "already defined") && !strings.Contains(err.Error(), "twice") {
					t.Fatalf("error %v", err)
				}
				return
			}
			fails(t, err, c.text, c.hint)
		})
	}
	_, _, err := Create(t.Context(), options(t, map[string]string{"compose.yaml": app + "    x-dhow: {entry: [app]}\n"}))
	fails(t, err, "compose.yaml:4:5: x-dhow stands under a service; it belongs to the top level", "")
	_, _, err = Create(t.Context(), options(t, map[string]string{"compose.yaml": app + "x-dhow: {from: \"no version\"}\n"}))
	if want := `cannot make a release of this: release "1.0.0": from: not valid: from "no version" is not a version constraint such as ">=1.0.0 <1.2.0"`; err == nil || err.Error() != want {
		t.Errorf("error\n got %v\nwant %s", err, want)
	}
}
