package sign_test

import (
	"errors"
	"path/filepath"
	"testing"

	"dhow/manifest"
	"dhow/manifest/manifesttest"
	"dhow/manifest/sign"
)

func TestCheckSetting(t *testing.T) {
	for _, s := range [][2]string{
		{"DBPASS", "x"},
		{"MYSQLPASS", "x"},
		{"PRIVATEKEY", "x"},
		{"DB_PASSWD", "x"},
		{"mysqlPwd", "x"},
		{"CLINICTOKEN", "x"},
		{"APPSECRET", "x"},
		{"DB_PASS_2", "x"},
		{"API_KEY", "x"},
		{"DBPASS1", ""},
		{"DATABASE_URL", "postgres://u:secret@db/x"},
		{"CACHE", "redis://:secret@cache:6379/0"},
		{"A", "see amqp://a:b@mq"},
	} {
		if err := sign.CheckSetting(s[0], s[1]); !errors.Is(err, sign.ErrSecret) {
			t.Errorf("%s=%s is taken: %v", s[0], s[1], err)
		}
	}
	for _, s := range [][2]string{
		{"CLINIC_NAME", "St. Mary: north"},
		{"URL", "https://clinic.example:8443/a@b"},
		{"URL", "https://user@clinic.example"},
		{"PASSENGERS", "4"},
		{"KEYBOARD", "fr"},
		{"MAIL", "it@clinic.example"},
		{"DATABASE_URL", ""},
	} {
		if err := sign.CheckSetting(s[0], s[1]); err != nil {
			t.Errorf("%s=%s: %v", s[0], s[1], err)
		}
	}
	err := sign.CheckSetting("DATABASE_URL", "postgres://u:secret@db/x")
	if want := "the value of DATABASE_URL, an address with a password, looks like a secret: fleet.yaml is signed and can be read by everybody; " +
		"put it into the site's site.env"; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// TestPasswordOfARelease is about a name that says nothing, but that a release has for the password of its database.
func TestPasswordOfARelease(t *testing.T) {
	f := manifesttest.New(t, "drc")
	r := f.NewRelease("1.0.0")
	r.Databases = []manifest.Database{{Service: "app", Engine: "mariadb", User: "root", PasswordEnv: "DBROOT"}}
	f.AddRelease("1.0.0", r)
	f.Assign("kin-001", "pilot", "1.0.0")
	must(t, f.Fleet().SetRingSettings("pilot", map[string]string{"DBROOT": "x"}))
	must(t, f.SaveFleet())
	_, err := f.Resolve()
	var list sign.Mistakes
	if !errors.As(err, &list) || !errors.Is(err, sign.ErrSecret) || list[0].Line == 0 {
		t.Fatalf("resolve: %v", err)
	}
	want := "ring pilot: DBROOT, the password of a database in release 1.0.0, looks like a secret: fleet.yaml is signed and can be read by " +
		"everybody; put it into the site's site.env"
	if list[0].Text != want || filepath.Base(list[0].Path) != "fleet.yaml" {
		t.Errorf("got  %s\nwant %s", list[0].Text, want)
	}
	if _, err := f.Sign(pass, f.Now); !errors.Is(err, sign.ErrSecret) {
		t.Errorf("sign: %v", err)
	}
}
