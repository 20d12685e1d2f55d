package dkim

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// tag is one name=value of a tag list (RFC 6376 §3.2).
type tag struct {
	name, value  string // without the folding white space around
	start, after int    // where the value lies in the list, with that white space
}

var errTags = errors.New("malformed tag list")

// parseTags reads a tag list. Each name may stand there once.
func parseTags(list string) ([]tag, error) {
	tags := make([]tag, 0, 12)
	for at := 0; at < len(list); {
		end := strings.IndexByte(list[at:], ';')
		if end < 0 {
			end = len(list)
		} else {
			end += at
		}
		name, value, found := strings.Cut(list[at:end], "=")
		t := tag{name: trimFold(name), value: trimFold(value), start: at + len(name) + 1, after: end}
		if !found || t.name == "" {
			if trimFold(list[at:]) == "" && len(tags) > 0 {
				break // one semicolon may end the list
			}
			return nil, errTags
		}
		for _, other := range tags {
			if other.name == t.name {
				return nil, fmt.Errorf("tag %s= twice", t.name)
			}
		}
		if len(tags) == 32 {
			return nil, errTags
		}
		tags = append(tags, t)
		at = end + 1
	}
	return tags, nil
}

func trimFold(s string) string { return strings.Trim(s, " \t\r\n") }

// decode64 reads base64 that may be folded (RFC 6376 §2.10).
func decode64(s string) ([]byte, error) {
	if strings.ContainsAny(s, " \t\r\n") {
		s = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(s)
	}
	return base64.StdEncoding.DecodeString(s)
}

// words reads a list separated by colons, each word trimmed.
func words(s string) []string {
	list := strings.Split(s, ":")
	for i, w := range list {
		list[i] = trimFold(w)
	}
	return list
}

// hasWord tells whether the list holds word, without regard to case.
func hasWord(list []string, word string) bool {
	for _, w := range list {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}
