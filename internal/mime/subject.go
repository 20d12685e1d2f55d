package mime

import "strings"

// BaseSubject is the subject without the marks of replies and forwards (RFC
// 5256 §2.1), decoded, for comparing and threading. Fold it to compare.
func BaseSubject(value string) string {
	s := squeeze(DecodeWords(value))
	for {
		for s = strings.TrimRight(s, " "); hasFoldSuffix(s, "(fwd)"); {
			s = strings.TrimRight(s[:len(s)-5], " ")
		}
		s = cutLeaders(s)
		if len(s) <= 5 || !equalFold(s[:5], "[fwd:") || s[len(s)-1] != ']' {
			return s
		}
		s = strings.TrimSpace(s[5 : len(s)-1])
	}
}

// cutLeaders takes off subj-leader and subj-blob as long as something is left.
func cutLeaders(s string) string {
	for {
		s = strings.TrimLeft(s, " ")
		if rest, ok := cutReply(s); ok {
			s = rest
		} else if rest, ok := cutBlob(s); ok && rest != "" {
			s = rest
		} else {
			return s
		}
	}
}

// cutReply takes off *subj-blob ("re" / "fw" / "fwd") [subj-blob] ":".
func cutReply(s string) (string, bool) {
	for {
		rest, ok := cutBlob(s)
		if !ok {
			break
		}
		s = rest
	}
	var n int
	switch {
	case hasFoldPrefix(s, "fwd"):
		n = 3
	case hasFoldPrefix(s, "re"), hasFoldPrefix(s, "fw"):
		n = 2
	default:
		return "", false
	}
	s = strings.TrimLeft(s[n:], " ")
	if rest, ok := cutBlob(s); ok {
		s = rest
	}
	if !strings.HasPrefix(s, ":") {
		return "", false
	}
	return s[1:], true
}

// cutBlob takes off "[" *BLOBCHAR "]" *WSP.
func cutBlob(s string) (string, bool) {
	if !strings.HasPrefix(s, "[") {
		return "", false
	}
	i := strings.IndexAny(s[1:], "[]")
	if i < 0 || s[1+i] == '[' {
		return "", false
	}
	return strings.TrimLeft(s[i+2:], " "), true
}

func hasFoldPrefix(s, p string) bool { return len(s) >= len(p) && equalFold(s[:len(p)], p) }

func hasFoldSuffix(s, p string) bool { return len(s) >= len(p) && equalFold(s[len(s)-len(p):], p) }
