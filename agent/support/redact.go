package support

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// vocabularyText has the words that may be in a sentence, one to a line. It is made from the texts in the sources of Dhow, and from what databases, the
// engine and systems say when they fail: whoever writes a sentence makes it anew (see TestVocabularyIsOfTheSources).
//
//go:generate go test -run TestVocabularyIsOfTheSources -update
//go:embed vocabulary.txt
var vocabularyText string

// vocabulary is made when it is asked for: few programs write a support file.
var vocabulary = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(vocabularyText) {
		all[strings.TrimSpace(line)] = true
	}
	return all
})

// masked stands for what was taken out: a secret, and what is in no vocabulary.
const (
	masked  = "***"
	dropped = "…"
)

// Redactor takes secrets and data out of texts.
type Redactor struct {
	secrets []string
	names   map[string]bool
}

// NewRedactor makes a Redactor. Settings are names and values of what the site was told; names are words that may stand in a sentence although they are in no
// vocabulary: services, images, versions. A setting that is one of them, and whose own name does not speak of a secret, is none.
func NewRedactor(settings map[string]string, names []string) *Redactor {
	r := &Redactor{names: map[string]bool{}}
	for _, n := range names {
		for _, w := range tokens(n) {
			r.names[w] = true
		}
		r.names[n] = true
	}
	for name, v := range settings {
		v = strings.TrimSpace(v)
		if len(v) < 4 && !(secretName.MatchString(name) && len(v) > 1) {
			continue
		}
		if !secretName.MatchString(name) && (r.names[v] || shortNumber.MatchString(v) || v == "true" || v == "false") {
			continue
		}
		quoted := strconv.Quote(v)
		coded, _ := json.Marshal(v)
		r.secrets = append(r.secrets, v, quoted[1:len(quoted)-1], string(coded[1:len(coded)-1]), url.QueryEscape(v), url.PathEscape(v),
			base64.StdEncoding.EncodeToString([]byte(v)), base64.RawStdEncoding.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)))
		for line := range strings.Lines(v) {
			if line = strings.TrimSpace(line); len(line) >= 8 {
				r.secrets = append(r.secrets, line)
			}
		}
	}
	slices.SortFunc(r.secrets, func(a, b string) int { return len(b) - len(a) })
	r.secrets = slices.Compact(r.secrets)
	return r
}

var (
	secretName  = regexp.MustCompile(`(?i)pass|pwd|secret|token|key|credential|auth|salt|pin$`)
	shortNumber = regexp.MustCompile(`^[0-9]{1,5}$`)
	shapes      = []struct {
		shape *regexp.Regexp
		with  string
	}{
		{regexp.MustCompile(`-----BEGIN [^-]*-----[\s\S]*?(-----END [^-]*-----|$)`), masked},
		{regexp.MustCompile(`(?i)AGE-(SECRET-KEY|PLUGIN)-[A-Z0-9-]+`), masked},
		{regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/\s"'@]*@`), "${1}" + masked + "@"},
		{regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s"'?]*\?)[^\s"']+`), "${1}" + masked},
		{regexp.MustCompile(`(?i)\b(bearer|basic|negotiate)\s+[A-Za-z0-9+/=._~-]{6,}`), "${1} " + masked},
		{regexp.MustCompile(`(?i)([A-Za-z0-9_.-]*(?:password|passwd|passphrase|pwd|secret|token|apikey|api_key|credential|authorization|\"auth)[A-Za-z0-9_.-]*"?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&}]+)`), "${1}" + masked},
		{regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}(\.[A-Za-z0-9_-]*)*`), masked},
	}
	// random is what keys look like; digests are told by their sha256:, and hex alone is none.
	random = regexp.MustCompile(`[A-Za-z0-9+/_-]{40,}={0,2}`)
	hexed  = regexp.MustCompile(`^[0-9a-f]+$`)
)

// Secrets takes secrets out of a text and leaves the rest.
func (r *Redactor) Secrets(s string) string {
	for _, v := range r.secrets {
		s = strings.ReplaceAll(s, v, masked)
	}
	for _, k := range shapes {
		s = k.shape.ReplaceAllString(s, k.with)
	}
	return random.ReplaceAllStringFunc(s, func(w string) string {
		if hexed.MatchString(w) || !strings.ContainsAny(w, "0123456789") || strings.ToLower(w) == w {
			return w
		}
		return masked
	})
}

// Text takes secrets out of a sentence, and then every word that is in no vocabulary.
func (r *Redactor) Text(s string) string {
	s = r.Secrets(strings.ToValidUTF8(s, "?"))
	var out strings.Builder
	open, space := false, "" // a name of several words is one thing: what stands between them waits
	for _, piece := range pieces(s) {
		switch {
		case isWord(piece) && !r.allowed(piece):
			if !open {
				out.WriteString(dropped)
			}
			open, space = true, ""
		case open && strings.TrimSpace(piece) == "":
			space += piece
		default:
			out.WriteString(space + piece)
			open, space = false, ""
		}
	}
	out.WriteString(space)
	return out.String()
}

var (
	number = regexp.MustCompile(`^[0-9]{1,4}([.,][0-9]{1,3})?$`)
	span   = regexp.MustCompile(`^[0-9]{1,4}(\.[0-9]+)?(ms|s|m|h|d|min|kB|MB|GB|B|%)$`)
	digest = regexp.MustCompile(`^[0-9a-f]{12}$|^[0-9a-f]{64}$`)
)

// allowed reports whether a word may be seen. Words are compared with their capitals: "grant" is SQL, and Grant somebody's name.
func (r *Redactor) allowed(w string) bool {
	return r.names[w] || vocabulary()[w] || number.MatchString(w) || span.MatchString(w) || digest.MatchString(w)
}

// isWord reports whether a piece has a letter or a digit.
func isWord(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }) >= 0
}

// inWord is what belongs to a word: a date, a version and a name with an accent are one.
func inWord(c rune) bool {
	return unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c) || c == '-' || c == '_' || c == '.' || c == '\'' || c == '’' || c == '%'
}

// pieces parts a text into words and what stands between them. Full stops and apostrophes at the end of a word are no part of it.
func pieces(s string) (list []string) {
	start, inside := 0, false
	flush := func(end int) {
		if end == start {
			return
		}
		p := s[start:end]
		if inside {
			core := strings.Trim(p, ".'’-")
			if i := strings.Index(p, core); core != "" && core != p {
				if i > 0 {
					list = append(list, p[:i])
				}
				list = append(list, core)
				if rest := p[i+len(core):]; rest != "" {
					list = append(list, rest)
				}
				start = end
				return
			}
		}
		list = append(list, p)
		start = end
	}
	for i, c := range s {
		if w := inWord(c); w != inside {
			flush(i)
			inside = w
		}
	}
	flush(len(s))
	return list
}

// tokens are the words of a text.
func tokens(s string) (list []string) {
	for _, p := range pieces(s) {
		if isWord(p) {
			list = append(list, p)
		}
	}
	return list
}

// JSON takes secrets and data out of every text in a value, which is encoded and returned. Texts of one word, and keys, keep what is no secret.
func (r *Redactor) JSON(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var all any
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	data, err = json.MarshalIndent(r.walk(all), "", "  ")
	return append(data, '\n'), err
}

func (r *Redactor) walk(v any) any {
	switch v := v.(type) {
	case string:
		if strings.ContainsFunc(v, func(c rune) bool { return unicode.IsSpace(c) || strings.ContainsRune("\"'`=()", c) }) {
			return r.Text(v)
		}
		return r.Secrets(v)
	case []any:
		for i := range v {
			v[i] = r.walk(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = r.walk(v[k])
		}
	}
	return v
}
