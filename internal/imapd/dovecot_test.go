package imapd

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"relais/internal/mime"
	"relais/test/dovecot"
)

// argued are the answers that differ from Dovecot's, by message or by message
// and item. docs/imap-differences.md says why.
var argued = map[string]bool{
	"stray-cr":              true,
	"rfc2231 BODYSTRUCTURE": true,
	"rfc2231 BODY":          true,
}

// TestAnswersAsDovecot compares what both servers tell of each message of the corpus.
func TestAnswersAsDovecot(t *testing.T) {
	t.Parallel()
	ours, theirs, names, raws := besides(t)
	compared := 0
	for i, name := range names {
		for _, ask := range questions(raws[i]) {
			a, b := fetched(ours, i+1, ask), fetched(theirs, i+1, ask)
			compared++
			if a == b || argued[name] || argued[name+" "+ask] {
				continue
			}
			t.Errorf("%s %s\n ours   %.1500s\n theirs %.1500s", name, ask, a, b)
		}
	}
	t.Logf("%d answers compared", compared)
}

// besides fills a mailbox of ours and one of a Dovecot with the corpus.
func besides(t *testing.T) (ours, theirs *client, names []string, raws [][]byte) {
	t.Helper()
	s := dovecot.Start(t, dovecot.Config{Users: []dovecot.User{{Login: "ann", Password: "secret"}}})
	b := setup(t, nil)
	ours, theirs = signIn(t, b.addr, "ann@example.org", "secret"), signIn(t, s.Addr, "ann", "secret")
	names, raws = corpus(t)
	for i, raw := range raws {
		date := fmt.Sprintf("\"%02d-Mar-2026 %02d:30:00 +0000\"", 10+i%18, i%24)
		for _, c := range []*client{ours, theirs} {
			if end := c.append("INBOX "+date, raw); !strings.HasPrefix(end, "OK") {
				t.Fatalf("%s: %s", names[i], end)
			}
		}
	}
	ours.ok("SELECT INBOX")
	theirs.ok("SELECT INBOX")
	return ours, theirs, names, raws
}

// questions are the FETCH items to ask of a message: everything, and each section of each part.
func questions(raw []byte) []string {
	qs := []string{"RFC822.SIZE", "INTERNALDATE", "ENVELOPE", "BODYSTRUCTURE", "BODY", "BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]",
		"BODY.PEEK[HEADER.FIELDS (subject FROM X-None)]", "BODY.PEEK[HEADER.FIELDS.NOT (From To)]", "BODY.PEEK[HEADER.FIELDS (X-None)]",
		"BODY.PEEK[]<0.10>", "BODY.PEEK[]<5.100>", "BODY.PEEK[TEXT]<3.4>", "BODY.PEEK[]<9999999.10>", "BODY.PEEK[HEADER]<2.5>",
		"RFC822.HEADER", "BODY.PEEK[1.2.3.4]", "BODY.PEEK[99]"}
	var walk func(p *mime.Part, path string, depth int)
	walk = func(p *mime.Part, path string, depth int) {
		if depth > 12 {
			return
		}
		if path != "" {
			for _, s := range []string{"", ".MIME", ".HEADER", ".TEXT", ".HEADER.FIELDS (Subject)"} {
				qs = append(qs, "BODY.PEEK["+path+s+"]")
			}
		}
		sub := p.Parts
		if p.Kind == mime.Leaf && path == "" {
			sub = []*mime.Part{p}
			depth = 100
		}
		if len(sub) > 12 {
			sub = sub[:12]
		}
		for i, q := range sub {
			next := fmt.Sprint(i + 1)
			if path != "" {
				next = path + "." + next
			}
			walk(q, next, depth+1)
		}
	}
	walk(mime.Parse(mime.CRLF(raw)), "", 0)
	return qs
}

func fetched(c *client, n int, ask string) string {
	c.t.Helper()
	untagged, end := c.do(fmt.Sprintf("FETCH %d (%s)", n, ask))
	var out []string
	for _, u := range untagged {
		if strings.HasPrefix(u, fmt.Sprintf("* %d FETCH", n)) {
			out = append(out, plain(u))
		}
	}
	word, _, _ := strings.Cut(end, " ")
	return strings.Join(out, "\n") + " " + word
}

// queries are asked of both servers over the whole corpus.
var queries = strings.Split(string(bytes.TrimSpace(must(os.ReadFile("testdata/queries.txt")))), "\n")

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// arguedFindings are the messages for which the answer to a query differs from
// Dovecot's. docs/imap-differences.md says why.
var arguedFindings = map[string][]string{
	"SENTBEFORE 3-Mar-2026": {"duplicates"},
	"SENTON 2-Mar-2026":     {"duplicates"},
	"SUBJECT one":           {"duplicates"},
	"BODY Berlin":           {"encoding-twice"},
	"BODY x":                {"content-empty-values", "type-missing-subtype", "type-twice"},
}

// TestFindsAsDovecot compares what both servers find.
func TestFindsAsDovecot(t *testing.T) {
	t.Parallel()
	ours, theirs, names, _ := besides(t)
	for _, c := range []*client{ours, theirs} {
		c.ok(`STORE 2:9 +FLAGS.SILENT (\Seen)`)
		c.ok(`STORE 5,20 +FLAGS.SILENT (\Flagged $Forwarded)`)
		c.ok(`STORE 30:33 +FLAGS.SILENT (\Answered \Deleted word)`)
	}
	for _, q := range queries {
		a, b := found(ours, q), found(theirs, q)
		if a.end != b.end {
			t.Errorf("%s: ours %s, theirs %s", q, a.end, b.end)
		}
		for i, name := range names {
			if a.numbers[i+1] != b.numbers[i+1] && !slices.Contains(arguedFindings[q], name) {
				t.Errorf("%s: %s: ours %v, theirs %v", q, name, a.numbers[i+1], b.numbers[i+1])
			}
		}
	}
}

type finding struct {
	numbers map[int]bool
	end     string
}

func found(c *client, query string) finding {
	c.t.Helper()
	f := finding{numbers: map[int]bool{}}
	untagged, end := c.do("SEARCH " + query)
	for _, u := range untagged {
		rest, ok := strings.CutPrefix(u, "* SEARCH")
		if !ok {
			continue
		}
		for _, w := range strings.Fields(rest) {
			var n int
			fmt.Sscan(w, &n)
			f.numbers[n] = true
		}
	}
	f.end, _, _ = strings.Cut(end, " ")
	return f
}
