package site

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"
)

func TestPage(t *testing.T) {
	for text, want := range map[string]Config{
		"":                                {},
		"page: off\n":                     {Page: Page{Off: true}},
		"page: false\n":                   {Page: Page{Off: true}},
		"page:\n":                         {},
		"page: {listen: \"[::]:8910\"}\n": {Page: Page{Listen: "[::]:8910"}},
		"page:\n  listen: \"0.0.0.0:443\"\n  hosts: [EMR.local, 10.0.0.5]\n  cert: /a\n  key: /b\n": {
			Page: Page{Listen: "0.0.0.0:443", Hosts: []string{"emr.local", "10.0.0.5"}, Cert: "/a", Key: "/b"},
		},
		"metrics: true\n":                                    {Metrics: "true"},
		"metrics: \"10.0.0.5:9109\"\n":                       {Metrics: "10.0.0.5:9109"},
		"hook: [/usr/local/bin/tell, --loud]\nnotify: off\n": {Hook: []string{"/usr/local/bin/tell", "--loud"}, Notify: "off"},
	} {
		want.Site = "a"
		got, err := ParseConfig([]byte("site: a\n" + text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%q: %+v, want %+v", text, *got, want)
		}
		path := filepath.Join(t.TempDir(), "dhow.yaml")
		if err := got.Save(path); err != nil {
			t.Fatal(err)
		}
		if back, err := LoadConfig(path); err != nil || !reflect.DeepEqual(back, got) {
			t.Errorf("%q: read back %+v, %v", text, back, err)
		}
	}
	if at := (Page{}).Address(); at != "127.0.0.1:8910" {
		t.Errorf("the page is at %s", at)
	}
}

func TestPageMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"page: on\n":                                         `:2:7: page must be off, or look like {listen: "0.0.0.0:8910", hosts: [emr.local]}`,
		"page: {listn: a}\n":                                 `:2:8: unknown key "listn" (did you mean "listen"?)`,
		"page: {listen: \":8910\"}\n":                        `:2:16: listen must look like "127.0.0.1:8910", or "0.0.0.0:8910" for the network`,
		"page: {listen: \"lan:80\"}\n":                       `:2:16: listen must look like "127.0.0.1:8910", or "0.0.0.0:8910" for the network`,
		"page: {listen: \"::1:80\"}\n":                       `:2:16: listen must look like "127.0.0.1:8910", or "0.0.0.0:8910" for the network`,
		"page: {listen: \"1.2.3.4:0\"}\n":                    `:2:16: listen must look like "127.0.0.1:8910", or "0.0.0.0:8910" for the network`,
		"page: {hosts: emr.local}\n":                         `:2:15: a list is expected here, each entry on a line that begins with "- "`,
		"page:\n  hosts:\n    - emr.local\n    - http://a\n": `:5:7: "http://a" can't be the name of a computer: write it like emr.local, without http:// and port`,
		"page: {hosts: [\"*.local\"]}\n":                     `:2:16: "*.local" can't be the name of a computer: write it like emr.local, without http:// and port`,
		"page: {hosts: [\"a:80\"]}\n":                        `:2:16: "a:80" can't be the name of a computer: write it like emr.local, without http:// and port`,
		"page: {cert: /a}\n":                                 `:2:7: cert and key belong together`,
		"page: {cert: a, key: /b}\n":                         `:2:14: "a" must begin at the root, like "/etc/dhow/page.pem"`,
		"metrics: 9109\n":                                    `:2:10: metrics must be true, or an address of their own like "192.168.1.5:9109"`,
		"hook: tell\n":                                       `:2:7: a list is expected here, each entry on a line that begins with "- "`,
		"hook: [tell]\n":                                     `:2:8: "tell" must be the whole path of a program, like "/usr/local/bin/tell": it is run without a shell`,
		"notify: maybe\n":                                    `:2:9: notify must be on or off`,
	} {
		_, err := ParseConfig([]byte("site: a\n" + text))
		var e *ConfigError
		if !errors.As(err, &e) || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}
