package fetch

import (
	"net/http"
	"strings"
)

// Bounds of the headers in which a registry says how to log in.
const (
	maxChallenge  = 8 << 10
	maxChallenges = 16
)

// challenge is one way to log in that a registry offers (WWW-Authenticate, RFC 9110 and Docker's token specification).
type challenge struct {
	scheme                string // in lower case
	realm, service, scope string
}

// choose is the way that Dhow can go: a token first, it may be had without a login, too. ok is false when there is none.
func choose(header http.Header) (best challenge, ok bool) {
	for _, text := range header.Values("WWW-Authenticate") {
		for _, c := range parseChallenges(text) {
			switch {
			case c.scheme == "bearer" && c.realm != "":
				return c, true
			case c.scheme == "basic" && !ok:
				best, ok = c, true
			}
		}
	}
	return best, ok
}

// parseChallenges reads one header, which may hold several. What is not understood is left out.
func parseChallenges(text string) (list []challenge) {
	if len(text) > maxChallenge {
		return nil
	}
	for {
		text = strings.TrimLeft(text, " \t,")
		var word string
		if word, text = token(text); word == "" {
			return list // its end, or nothing that belongs here
		}
		rest := strings.TrimLeft(text, " \t")
		if !strings.HasPrefix(rest, "=") {
			if len(list) == maxChallenges {
				return list
			}
			list = append(list, challenge{scheme: strings.ToLower(word)})
			continue
		}
		var value string
		if value, text = parameter(strings.TrimLeft(rest, "=")); len(list) == 0 {
			continue
		}
		c := &list[len(list)-1]
		switch strings.ToLower(word) {
		case "realm":
			c.realm = value
		case "service":
			c.service = value
		case "scope":
			c.scope = value
		}
	}
}

// token takes a word from the beginning.
func token(s string) (word, rest string) {
	end := strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// parameter takes a value from the beginning: a word, or text in quotes.
func parameter(s string) (value, rest string) {
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, `"`) {
		return token(s)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:]
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
