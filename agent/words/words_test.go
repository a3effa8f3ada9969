package words

import (
	"cmp"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

func TestFor(t *testing.T) {
	for _, c := range []struct {
		tags []string
		want string
	}{
		{nil, "en"},
		{[]string{"", "C", "POSIX", "C.UTF-8"}, "en"},
		{[]string{"fr"}, "fr"},
		{[]string{"fr_CD.UTF-8"}, "fr"},
		{[]string{"ca_ES.UTF-8@valencia", "es_ES@euro"}, "es"},
		{[]string{"pt-BR"}, "pt"},
		{[]string{"SW"}, "sw"},
		{[]string{"ht-HT"}, "ht"},
		{[]string{"ar-SD"}, "ar"},
		{[]string{"de", "xx", "ht"}, "ht"},
		{[]string{"de-DE,de;q=0.9,fr;q=0.4,es;q=0.7"}, "es"},
		{[]string{"de", "fr-CH, fr;q=0.9, en;q=0.8, *;q=0.5"}, "fr"},
		{[]string{"\x00<script>", "fr;q=x", strings.Repeat("-", 1<<20), "ar"}, "ar"},
	} {
		if got := For(c.tags...).Language(); got != c.want {
			t.Errorf("%.60q: %s, want %s", c.tags, got, c.want)
		}
	}
	if r := For("ar"); r.Direction() != "rtl" || len(r.Languages()) != 7 || For("sw").Direction() != "ltr" || Speaks("de") || !Speaks("ht") {
		t.Errorf("%+v, %v", r, r.Languages())
	}
}

func FuzzFor(f *testing.F) {
	f.Add("fr-CH, fr;q=0.9, en;q=0.8, *;q=0.5")
	f.Add("fr_CD.UTF-8@euro")
	f.Add("----------")
	f.Fuzz(func(t *testing.T, tag string) {
		if got := For(tag).Language(); forms[got] == nil {
			t.Errorf("%q: %q", tag, got)
		}
	})
}

func TestSay(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{For("en").Step("back-up", false), "keeping a safe copy"},
		{For("fr").Step("arm-restore", true), "retour en arrière : remise en place des données"},
		{For("pt").Step("check-health", true), "a voltar atrás"},
		{For("ar").Step("of-the-future", false), "of the future"},
		{For("fr").Say("time.tonight", "hour", "21:00"), "ce soir à 21:00"},
		{For("fr").Map("time.tonight", map[string]string{"hour": "21:00"}), "ce soir à 21:00"},
		{For("fr").Say("time.tonight"), "ce soir à ?"},
		{For("fr").Say("no.such_key"), "no.such_key"},
		{For("fr").Count("time.about_minutes", 1), "environ 1 minute"},
		{For("fr").Count("time.about_minutes", 0), "environ 0 minute"},
		{For("en").Count("time.about_minutes", 0), "about 0 minutes"},
		{For("es").Count("time.about_minutes", 1_000_000), "unos 1000000 minutos"},
		{For("ht").Count("time.about_minutes", 1), "anviwon 1 minit"},
		{For("ar").Count("time.about_minutes", 2), "نحو دقيقتين"},
		{For("ar").Count("time.about_minutes", 7), "نحو 7 دقائق"},
		{For("ar").Count("time.about_minutes", 12), "نحو 12 دقيقة"},
		// Nothing in an argument acts: not what looks like one, nor on the text around it.
		{For("en").Say("time.tonight", "hour", "{{.hour}}<b>%s"), "tonight at {{.hour}}<b>%s"},
		{For("en").Say("time.tonight", "hour", "a\x1b[31m\u202eb\u2069c\u2067d\ne\u0085"), "tonight at a[31mbc\u2067d\ne\u2069"},
		{For("ar").Say("time.tonight", "hour", "/media/usb"), "الليلة الساعة \u2068/media/usb\u2069"},
		{For("ar").Say("time.tonight", "hour", 21), "الليلة الساعة 21"},
		{For("ar").Say("time.tonight", "hour", ""), "الليلة الساعة "},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// The forms are those that go-i18n chooses, whose rules are of a newer CLDR.
func TestForms(t *testing.T) {
	s := sentence{Zero: "zero", One: "one", Two: "two", Few: "few", Many: "many", Other: "other"}
	for _, l := range languages {
		tag := language.Make(cmp.Or(rules[l.Tag], l.Tag))
		bundle := i18n.NewBundle(tag)
		bundle.MustAddMessages(tag, &i18n.Message{ID: "n", Zero: s.Zero, One: s.One, Two: s.Two, Few: s.Few, Many: s.Many, Other: s.Other})
		theirs := i18n.NewLocalizer(bundle, tag.String())
		for n := range 2000 {
			want := theirs.MustLocalize(&i18n.LocalizeConfig{MessageID: "n", PluralCount: n})
			if got := s.form(l.Tag, &n); got != want {
				t.Errorf("%s: %d is said as %s, want %s", l.Tag, n, got, want)
			}
		}
		if minus := math.MinInt; s.form(l.Tag, &minus) == "" {
			t.Errorf("%s: nothing is said", l.Tag)
		}
	}
}

func TestErrorsWithoutWords(t *testing.T) {
	for _, kind := range []string{"", "of-the-future"} {
		if m, h := For("fr").Error(kind, "no news", "wait", nil); m != "cela n’a pas marché ; détail technique, en anglais : no news" || h != "wait" {
			t.Errorf("%q: %q, %q", kind, m, h)
		}
	}
}

func TestNumbers(t *testing.T) {
	en, fr := For("en"), For("fr")
	for _, c := range []struct{ got, want string }{
		{en.Size(0), "0 bytes"},
		{en.Size(999), "999 bytes"},
		{en.Size(1000), "1.0 kB"},
		{en.Size(5_100_000), "5.1 MB"},
		{en.Size(412_000_000), "412 MB"},
		{en.Size(999_999_999), "1.0 GB"},
		{fr.Size(5_100_000), "5,1 Mo"},
		{For("ar").Size(5_100_000), "\u20685.1\u2069 ميغابايت"},
		{en.Of(1_400_000_000, 1_900_000_000), "1.4 of 1.9 GB"},
		{en.Of(3_000_000, 1_900_000_000), "0.0 of 1.9 GB"},
		{fr.Of(1_400_000_000, 1_900_000_000), "1,4 sur 1,9 Go"},
		{en.Span(161 * time.Second), "2 min 41 s"},
		{en.Span(41*time.Second + 400*time.Millisecond), "41 s"},
		{en.Span(2*time.Hour + 5*time.Minute), "2 h 5 min"},
		{en.Length(40 * time.Second), "less than a minute"},
		{en.Length(60 * time.Second), "about 1 minute"},
		{en.Length(161 * time.Second), "about 3 minutes"},
		{en.Length(90 * time.Minute), "about 90 minutes"},
		{en.Length(100 * time.Minute), "about 2 hours"},
		{en.Length(47 * time.Hour), "about 47 hours"},
		{en.Length(75 * time.Hour), "about 3 days"},
		{fr.Length(161 * time.Second), "environ 3 minutes"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestMoments(t *testing.T) {
	zone := time.FixedZone("", 3*3600)
	now := time.Date(2026, 11, 21, 15, 0, 0, 0, zone)
	for _, c := range []struct {
		t                     time.Time
		moment, french, clock string
	}{
		{now, "just now", "à l’instant", "15:00"},
		{now.Add(-20 * time.Minute), "20 minutes ago", "il y a 20 minutes", "14:40"},
		{now.Add(-2 * time.Hour).UTC(), "2 hours ago", "il y a 2 heures", "13:00"},
		{now.Add(-12*time.Hour - 50*time.Minute), "this night at 02:10", "cette nuit à 02:10", "02:10"},
		{now.Add(-18 * time.Hour), "yesterday at 21:00", "hier à 21:00", "20 Nov 21:00"},
		{now.AddDate(0, 0, -18), "on 3 Nov at 15:00", "le 3 nov. à 15:00", "3 Nov 15:00"},
		{now.AddDate(-1, 0, 0), "on 21 Nov 2025 at 15:00", "le 21 nov. 2025 à 15:00", "21 Nov 2025 15:00"},
		{now.Add(time.Hour), "today at 16:00", "aujourd’hui à 16:00", "16:00"},
		{now.Add(6 * time.Hour), "tonight at 21:00", "ce soir à 21:00", "21:00"},
		{now.Add(11 * time.Hour), "in the night at 02:00", "cette nuit à 02:00", "22 Nov 02:00"},
		{now.Add(16 * time.Hour), "tomorrow at 07:00", "demain à 07:00", "22 Nov 07:00"},
		{now.AddDate(0, 0, 3), "on 24 Nov at 15:00", "le 24 nov. à 15:00", "24 Nov 15:00"},
	} {
		if got := For("en").Moment(c.t, now); got != c.moment {
			t.Errorf("%v: %q, want %q", c.t, got, c.moment)
		}
		if got := For("fr").Moment(c.t, now); got != c.french {
			t.Errorf("%v: %q, want %q", c.t, got, c.french)
		}
		if got := For("en").Clock(c.t, now); got != c.clock {
			t.Errorf("%v: %q, want %q", c.t, got, c.clock)
		}
	}
	for _, l := range languages {
		if n := len(strings.Fields(For(l.Tag).Say("time.months"))); n != 12 {
			t.Errorf("%s has %d months", l.Tag, n)
		}
	}
}

// Readers are made and used by many at a time, on what nobody has read before.
func TestManyReaders(t *testing.T) {
	loaded.Lock()
	clear(loaded.areas)
	loaded.Unlock()
	done := make(chan string)
	for range 8 {
		go func() { done <- For("ar").Say("step.back-up") }()
	}
	for range 8 {
		if got := <-done; got != "حفظ نسخة آمنة" {
			t.Errorf("%q", got)
		}
	}
}
