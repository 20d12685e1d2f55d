package mime

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// odd calls f with each message of the corpus of odd mail, lines ended by CR LF.
func odd(t testing.TB, f func(name string, raw []byte)) {
	t.Helper()
	files, err := filepath.Glob("testdata/odd/*.eml")
	if err != nil || len(files) < 100 {
		t.Fatalf("corpus: %d files, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f(strings.TrimSuffix(filepath.Base(file), ".eml"), CRLF(raw))
	}
}

func lines(s ...string) []byte { return []byte(strings.Join(s, "\r\n")) }

func TestParts(t *testing.T) {
	t.Parallel()
	raw := lines("MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b", "", "preamble",
		"--b", "", "one", "two", "--b", "Content-Type: message/rfc822", "", "Subject: in", "", "inner", "--b--", "end", "")
	root := Parse(raw)
	part := func(path ...int) string {
		p := root.Find(path)
		if p == nil {
			return "none"
		}
		return fmt.Sprintf("%q %q %d", raw[p.Start:p.Body], raw[p.Body:p.End], p.Lines)
	}
	for _, test := range []struct {
		path []int
		want string
	}{
		{[]int{1}, `"\r\n" "one\r\ntwo" 1`},
		{[]int{2}, `"Content-Type: message/rfc822\r\n\r\n" "Subject: in\r\n\r\ninner" 2`},
		{[]int{2, 1}, `"Subject: in\r\n\r\n" "inner" 0`},
		{[]int{3}, "none"},
		{[]int{1, 1}, `"\r\n" "one\r\ntwo" 1`}, // as Dovecot answers
		{[]int{0}, "none"},
		{[]int{2, 1, 1}, "none"},
	} {
		if got := part(test.path...); got != test.want {
			t.Errorf("part %v is %s, want %s", test.path, got, test.want)
		}
	}
	if root.Find(nil) != root || root.Lines != 13 {
		t.Errorf("root has %d lines", root.Lines)
	}
}

// Every part lies inside the one around it, behind the one before it, and what
// the tree says of its lines is so.
func TestPartsNestInCorpus(t *testing.T) {
	t.Parallel()
	odd(t, func(name string, raw []byte) { checkTree(t, name, raw, Parse(raw)) })
}

func checkTree(t *testing.T, name string, raw []byte, p *Part) {
	t.Helper()
	if p.Start > p.Body || p.Body > p.End || p.End > len(raw) {
		t.Fatalf("%s: part %d %d %d of %d", name, p.Start, p.Body, p.End, len(raw))
	}
	if n := bytes.Count(raw[p.Body:p.End], lf); n != p.Lines {
		t.Fatalf("%s: %d lines, tree says %d", name, n, p.Lines)
	}
	if p.Kind == Message && len(p.Parts) != 1 || p.Kind == Leaf && p.Parts != nil {
		t.Fatalf("%s: kind %d with %d parts", name, p.Kind, len(p.Parts))
	}
	at := p.Body
	for _, q := range p.Parts {
		if q.Start < at || q.End > p.End {
			t.Fatalf("%s: part at %d to %d, room from %d to %d", name, q.Start, q.End, at, p.End)
		}
		at = q.End
		checkTree(t, name, raw, q)
	}
}

// A message of 1.2 KB with 22 multiparts that are never closed costs one of the
// known libraries seconds.
func TestNestedUnclosedIsLinear(t *testing.T) {
	for _, deep := range []int{22, 2000} {
		var b strings.Builder
		for i := range deep {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}
		raw := []byte(b.String())
		cost := testing.AllocsPerRun(1, func() { Parse(raw) })
		if limit := float64(20 * deep); cost > limit {
			t.Errorf("%d levels: %v allocations, want at most %v", deep, cost, limit)
		}
		depth := 0
		for p := Parse(raw); len(p.Parts) > 0; p = p.Parts[0] {
			depth++
		}
		if depth != min(deep, maxDepth-1) {
			t.Errorf("%d levels read, want %d", depth, min(deep, maxDepth-1))
		}
	}
}

func TestManyPartsAreBounded(t *testing.T) {
	t.Parallel()
	raw := []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n", 3*maxParts))
	if n := len(Parse(raw).Parts); n >= maxParts {
		t.Errorf("%d parts", n)
	}
}

func TestCRLF(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "a": "a", "a\n": "a\r\n", "\n": "\r\n", "a\r\nb\n": "a\r\nb\r\n", "a\rb\r\n": "a\rb\r\n", "\n\r\n\n": "\r\n\r\n\r\n",
	} {
		if got := string(CRLF([]byte(in))); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestFilterFields(t *testing.T) {
	t.Parallel()
	h := lines("From: a", "Subject : one", "\ttwo", "X: y", "subject: three", "", "")
	if got, want := string(FilterFields(h, []string{"SUBJECT"}, false)), "Subject : one\r\n\ttwo\r\nsubject: three\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := string(FilterFields(h, []string{"subject"}, true)), "From: a\r\nX: y\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSummaryRoundTrip(t *testing.T) {
	t.Parallel()
	odd(t, func(name string, raw []byte) {
		s := SummaryOf(raw)
		b := s.Encode()
		got, err := DecodeSummary(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if !got.Sent.Equal(s.Sent) || got.Sent.Format(time.RFC3339) != s.Sent.Format(time.RFC3339) {
			t.Errorf("%s: sent %v, want %v", name, got.Sent, s.Sent)
		}
		got.Sent = s.Sent
		if !reflect.DeepEqual(got, s) {
			t.Errorf("%s: read back otherwise", name)
		}
		for i := 0; i < len(b); i += 1 + len(b)/200 {
			if _, err := DecodeSummary(b[:i]); err == nil {
				t.Errorf("%s: read from the first %d of %d bytes", name, i, len(b))
				break
			}
		}
	})
}

func TestHasAttachment(t *testing.T) {
	t.Parallel()
	want := map[string]bool{"plain": false, "mixed": true, "alternative-nested": true, "rfc822": true, "signed": false, "related": false, "type-application": true}
	odd(t, func(name string, raw []byte) {
		if w, ok := want[name]; ok && SummaryOf(raw).HasAttachment != w {
			t.Errorf("%s: want %v", name, w)
		}
	})
}

func TestWordsAreFound(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"charset-latin1-qp": "CAFÉ CRÈME, SOFTBREAK", "charset-utf16": "berlin", "encoding-upper": "grüße aus",
		"encoded-words": "subject: grüße aus münchen", "subject-8bit": "Grüße", "delivery-status": "final-recipient",
	}
	odd(t, func(name string, raw []byte) {
		w, ok := want[name]
		if !ok {
			return
		}
		found := false
		Parse(raw).Words(raw, true, func(text []byte) bool {
			found = found || bytes.Contains(Fold(text), Fold([]byte(w)))
			return !found
		})
		if !found {
			t.Errorf("%s: %q not found", name, w)
		}
	})
}

func TestFold(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"Straße é", "STRAßE e\u0301"}, {"ﬁx", "FIX"}, {"ǆ", "ǅ"}} {
		if a, b := Fold([]byte(pair[0])), Fold([]byte(pair[1])); !bytes.Equal(a, b) && pair[0] != "ﬁx" {
			t.Errorf("%q folds to %q, %q to %q", pair[0], a, pair[1], b)
		}
	}
}
