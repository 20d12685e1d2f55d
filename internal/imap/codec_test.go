package imap

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func server(s string) *Decoder { return NewDecoder(strings.NewReader(s), DecoderOptions{Server: true}) }
func client(s string) *Decoder { return NewDecoder(strings.NewReader(s), DecoderOptions{}) }

func encode(f func(e *Encoder)) string {
	var b bytes.Buffer
	e := NewEncoder(&b, 0)
	f(e)
	if err := e.Flush(); err != nil {
		return "error: " + err.Error()
	}
	return b.String()
}

func TestTokens(t *testing.T) {
	t.Parallel()
	// One byte at a time: no token may depend on lying whole in the buffer.
	d := NewDecoder(iotest.OneByteReader(strings.NewReader(
		"a1 fetch 4 9223372036854775807 (\\Seen $Fwd \\*) \"q\\\"\\\\é\" {3+}\r\nl\r\n NIL nil \"17-Jul-1996 02:44:25 -0700\" at]om 1:3,2,9:* &AOk- 1-Feb-1994\r\n")),
		DecoderOptions{Server: true})
	want := func(got, want any) {
		t.Helper()
		if d.Err() != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v, want %#v (error %v)", got, want, d.Err())
		}
	}
	want(d.Tag(), "a1")
	d.SP()
	want(d.Command(), "FETCH")
	d.SP()
	want(d.Number(), uint32(4))
	d.SP()
	want(d.Number64(), uint64(1<<63-1))
	d.SP()
	want(d.Flags(), []string{`\Seen`, "$Fwd", `\*`})
	d.SP()
	want(d.String(), `q"\é`)
	d.SP()
	want(d.String(), "l\r\n")
	d.SP()
	want(d.NString(), NString{})
	d.SP()
	want(d.NStream() == nil, true)
	d.SP()
	want(d.DateTime().Equal(time.Date(1996, 7, 17, 9, 44, 25, 0, time.UTC)), true)
	d.SP()
	want(d.AString(), "at]om")
	d.SP()
	want(d.NumSet(), NumSet{{1, 3}, {9, Star}})
	d.SP()
	want(d.Mailbox(), "é")
	d.SP()
	want(d.Date(), time.Date(1994, 2, 1, 0, 0, 0, 0, time.UTC))
	d.CRLF()
	if d.Peek() != 0 || !errors.Is(d.Err(), io.EOF) {
		t.Error("after the last line:", d.Err())
	}
}

func TestEndOfStream(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]error{"": io.EOF, "a": io.ErrUnexpectedEOF, "a {3+}\r\nab": io.ErrUnexpectedEOF, "a \"b": io.ErrUnexpectedEOF} {
		d := server(in)
		d.Tag()
		if in != "" {
			d.SP()
			_ = d.String()
		}
		if !errors.Is(d.Err(), want) {
			t.Errorf("%q: %v, want %v", in, d.Err(), want)
		}
	}
}

func TestServerIsStrict(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"a noop\n", "a  noop\r\n", "a noop \r\n", "a noop\r\r\n", "a\tnoop\r\n", " a noop\r\n", "a no\x00op\r\n", "a+b noop\r\n", "a \"\xff\"\r\n"} {
		d := server(in)
		d.Tag()
		d.SP()
		d.AString()
		d.CRLF()
		if _, ok := errors.AsType[*SyntaxError](d.Err()); !ok {
			t.Errorf("%q: %v, want a syntax error", in, d.Err())
		}
	}
}

func TestDiscardLineFindsTheNext(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"a bad(bad\r\n",
		"a ((( {5+}\r\n\r\nb x\r\n",
		"a ( {2+}\r\nxx {3+}\r\nyyy )\r\n",
		"a " + strings.Repeat("x", 9000) + "\r\n",
		"a ( {7}\r\n", // synchronising: refused by BAD, its bytes never come
	} {
		d := server(in + "b2 next\r\n")
		d.Tag()
		d.SP()
		d.Number()
		if d.Err() == nil {
			t.Errorf("%q: no error", in)
		}
		if err := d.DiscardLine(); err != nil {
			t.Errorf("%q: %v", in, err)
		}
		if tag := d.Tag(); tag != "b2" {
			t.Errorf("%q: next tag %q, %v", in, tag, d.Err())
		}
	}
}

func TestLiterals(t *testing.T) {
	t.Parallel()
	var asked []int64
	refuse := errors.New("too big")
	d := NewDecoder(strings.NewReader("{3}\r\nabc {9}\r\nx {4+}\r\nabcd\r\n~{2+}\r\n\x00\x01 next\r\n"), DecoderOptions{Server: true, MaxLiteral: 100,
		Continue: func(n int64) error {
			asked = append(asked, n)
			if n > 5 {
				return refuse
			}
			return nil
		}})
	if s := d.String(); s != "abc" {
		t.Fatal(s, d.Err())
	}
	d.SP()
	if _ = d.Stream(); !errors.Is(d.Err(), refuse) {
		t.Fatal(d.Err())
	}
	if err := d.DiscardLine(); err != nil || d.AString() != "x" {
		t.Fatal("the refused literal's bytes never come:", err, d.Err())
	}
	d.SP()
	l := d.Stream()
	var two [2]byte
	if _, err := io.ReadFull(l, two[:]); err != nil || l.Size != 4 {
		t.Fatal(err)
	}
	d.CRLF() // the rest is skipped
	l = d.Stream()
	if b, err := l.Bytes(); err != nil || !l.Binary || string(b) != "\x00\x01" {
		t.Fatal(b, err)
	}
	d.SP()
	if d.AString() != "next" || d.Err() != nil || !reflect.DeepEqual(asked, []int64{3, 9}) {
		t.Fatal(d.Err(), asked)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	o := DecoderOptions{Server: true, MaxLine: 100, MaxString: 10, MaxLiteral: 20, MaxDepth: 5}
	for in, what := range map[string]string{
		strings.Repeat("x", 200):            "line",
		`"` + strings.Repeat("x", 50) + `"`: "string",
		"{11+}\r\n":                         "literal",
		"{21+}\r\n":                         "literal",
		"((((((":                            "depth",
	} {
		d := NewDecoder(strings.NewReader(in), o)
		if in[0] == '(' {
			d.SkipValue()
		} else {
			d.AString()
		}
		if e, ok := errors.AsType[*LimitError](d.Err()); !ok || e.What != what {
			t.Errorf("%q: %v, want %s", in, d.Err(), what)
		}
	}
	d := NewDecoder(strings.NewReader("{21+}\r\n"), o)
	d.Stream()
	if d.DiscardLine() == nil {
		t.Error("a literal beyond the bound was waited for")
	}
}

func TestUnknownThingsArePassedOver(t *testing.T) {
	t.Parallel()
	d := client("X-GM-LABELS (\"\\\\Sent\" (a {2}\r\nhi) NIL) BODY[1.HEADER.FIELDS (A \"B c\")]<10> {3}\r\nabc)\r\n" +
		"XFOO bar {4}\r\n\r\n\r\n baz\r\n* OK\r\n")
	if n := d.Name(); n != "X-GM-LABELS" {
		t.Fatal(n)
	}
	d.SP()
	d.SkipValue()
	d.SP()
	item := d.FetchItem()
	d.SP()
	d.SkipValue()
	if item.Section.String() != `1.HEADER.FIELDS (A "B c")` || item.Partial.Offset != 10 || d.Err() != nil {
		t.Fatal(item, d.Err())
	}
	d.Expect(')')
	d.CRLF()
	if d.Command() != "XFOO" || d.DiscardLine() != nil || d.Tag() != "*" {
		t.Fatal(d.Err())
	}
}

func TestSections(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"FLAGS", "BODY[]", "BODY.PEEK[1.2.MIME]", "BODY[HEADER.FIELDS.NOT (To X-Y)]<0.100>", "BINARY.PEEK[3]", "BINARY.SIZE[1]", "RFC822.SIZE", "BODY[2.TEXT]", "X-UNKNOWN"} {
		d := server(s + "\r\n")
		item := d.FetchItem()
		d.CRLF()
		if got := encode(func(e *Encoder) { e.FetchItem(item) }); got != s || d.Err() != nil {
			t.Errorf("%s came out as %s, %v", s, got, d.Err())
		}
	}
	for _, s := range []string{"BODY[", "BODY[0]", "BODY[MIME]", "BODY[HEADER.FIELDS ()]", "BODY[]<0>", "BODY[]<0.0>", "BODY[FOO]", "BODY[1.]", "BODY[1"} {
		d := server(s + "\r\n")
		d.FetchItem()
		d.CRLF()
		if d.Err() == nil {
			t.Errorf("%s was taken", s)
		}
	}
}

func TestSearchRoundTrip(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`ALL`:                                `ALL`,
		`UNSEEN FROM bob 1:5,9`:              `(NOT SEEN FROM "bob" 1:5,9)`,
		`OR (SEEN LARGER 5) NOT NOT UID 7:*`: `OR (SEEN LARGER 5) NOT NOT UID 7:*`,
		`NEW`:                                `(RECENT NOT SEEN)`,
		`SENTSINCE 1-Feb-1994 BEFORE "17-Jul-2020"`: `(SENTSINCE 1-Feb-1994 BEFORE 17-Jul-2020)`,
		`HEADER X-Spam "" KEYWORD $Fwd UNKEYWORD a`: `(HEADER X-Spam "" KEYWORD $Fwd NOT KEYWORD a)`,
		`MODSEQ "/flags/\\draft" all 620162338`:     `MODSEQ 620162338`,
		`$ EMAILID M6d99 YOUNGER 60`:                `($ EMAILID M6d99 YOUNGER 60)`,
		"TEXT {4+}\r\n\xe2\x82\xac! UNDRAFT":        "(TEXT {4}\r\n\xe2\x82\xac! NOT DRAFT)",
	} {
		d := server(in + "\r\n")
		s := d.Search()
		d.CRLF()
		if got := encode(func(e *Encoder) { e.SearchKey(s.Key) }); got != want || d.Err() != nil {
			t.Errorf("%s came out as %s, %v", in, got, d.Err())
		}
	}
	d := server("RETURN (MIN count) CHARSET utf-8 UID 5\r\n")
	if s := d.Search(); d.Err() != nil || s.Charset != "UTF-8" || !reflect.DeepEqual(s.Return, []string{"MIN", "COUNT"}) {
		t.Error(s, d.Err())
	}
	d = server(strings.Repeat("NOT ", 5000) + "ALL\r\n")
	if d.Search(); d.Err() == nil {
		t.Error("5000 levels of NOT were taken")
	}
	for _, in := range []string{"", "()", "FOO", "OR SEEN", "0", "1:", "FROM", "BEFORE 32-Jan-2020", "SEEN SEEN )", "(SEEN"} {
		d := server(in + "\r\n")
		d.Search()
		d.CRLF()
		if d.Err() == nil {
			t.Errorf("%q was taken", in)
		}
	}
}

func TestCodes(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"[ALERT]", `[PERMANENTFLAGS (\Answered \*)]`, "[COPYUID 38505 304,319:320 3956:3958]", `[X-NEW "a ] b\"" (1 2)]`} {
		d := client(s + "\r\n")
		if c := d.Code(); c.String() != s || d.Err() != nil {
			t.Errorf("%s came out as %s, %v", s, c, d.Err())
		}
	}
	v, from, to, ok := Code{CodeCopyUID, "7 9,3:5 20:23"}.CopyUID()
	if !ok || v != 7 || from.String() != "9,3:5" || to.String() != "20:23" {
		t.Error(v, from, to, ok)
	}
	for _, args := range []string{"7 9 20:23", "7 1:* 1:*", "x 1 1", "7 1"} {
		if _, _, _, ok := (Code{CodeCopyUID, args}).CopyUID(); ok {
			t.Errorf("COPYUID %s was taken", args)
		}
	}
	if v, uids, ok := AppendUID(5, NumSet{{7, 9}}).AppendUID(); !ok || v != 5 || uids.Count() != 3 {
		t.Error(v, uids, ok)
	}
	d := client(" [NOT CLOSED\r\n")
	if s := d.Status(OK); d.Err() != nil || s.Code.Name != "NOT" {
		t.Error("an unclosed code:", s, d.Err())
	}
	d = client("\r\n")
	if s := d.Status(OK); d.Err() != nil || s.Text != "" {
		t.Error("a status without text:", d.Err())
	}
	got := encode(func(e *Encoder) { e.Status("a1", Status{Word: No, Code: MakeCode(CodeLimit), Text: "too\r\nmany"}) })
	if got != "a1 NO [LIMIT] too  many\r\n" {
		t.Errorf("%q", got)
	}
}

func TestStructuresRoundTrip(t *testing.T) {
	t.Parallel()
	envelope := `("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "a \"b\"" (("Terry" NIL "gray" "cac.example")) NIL NIL ((NIL NIL "imap" NIL)(NIL NIL NIL NIL)) NIL NIL NIL "<B@cac>")`
	text := `("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 1152 23 NIL ("attachment" ("filename" "a b")) ("fr" "en") NIL)`
	message := `("message" "rfc822" NIL NIL NIL "7BIT" 9 ` + envelope + ` ` + text + ` 4 NIL NIL ("fr") "x")`
	whole := `(` + text + message + ` "mixed" ("boundary" "x") NIL NIL NIL)`
	d := client(envelope + " " + whole + "\r\n")
	v := d.Envelope()
	d.SP()
	b := d.BodyStructure()
	d.CRLF()
	if d.Err() != nil {
		t.Fatal(d.Err())
	}
	if got := encode(func(e *Encoder) { e.Envelope(v) }); got != envelope {
		t.Errorf("envelope\n got %s\nwant %s", got, envelope)
	}
	if got := encode(func(e *Encoder) { e.BodyStructure(b, true) }); got != whole {
		t.Errorf("structure\n got %s\nwant %s", got, whole)
	}
	for _, s := range []string{`(\Sent \Subscribed) "/" Gesendet`, `() NIL &AOk-`, `(\NonExistent) "\\" "a b" ("OLDNAME" (x))`} {
		d := client(s + "\r\n")
		l := d.ListData()
		d.CRLF()
		if got := encode(func(e *Encoder) { e.ListData("LIST", l) }); got != "* LIST "+s+"\r\n" || d.Err() != nil {
			t.Errorf("%s came out as %s, %v", s, got, d.Err())
		}
	}
	d = client("blurdybloop (MESSAGES 231 X-NEW (a b) MAILBOXID (F21) APPENDLIMIT NIL UIDNEXT 44292)\r\n")
	st := d.StatusData()
	d.CRLF()
	if n, ok := st.Get(StatusUIDNext); d.Err() != nil || n != 44292 || !ok || st.MailboxID != "F21" {
		t.Error(st, d.Err())
	}
	d = client(` (TAG "A2") UID MIN 4 COUNT 3 ALL 4,7:8 X-NEW (q) MODSEQ 17` + "\r\n")
	es := d.ESearchData()
	d.CRLF()
	if d.Err() != nil || es.Tag != "A2" || es.All.Count() != 3 || es.Count != 3 || es.ModSeq != 17 {
		t.Error(es, d.Err())
	}
	d = server(`(QRESYNC (67890007 90060115194045000 41:211,214:541 (1:3 5:9))) (UNCHANGEDSINCE 12) +FLAGS.SILENT (\Deleted)` + "\r\n")
	p := d.SelectParams()
	d.SP()
	s := d.Store()
	d.CRLF()
	got := encode(func(e *Encoder) { e.SelectParams(p).SP().Store(s) })
	if want := ` (QRESYNC (67890007 90060115194045000 41:211,214:541 (1:3 5:9))) (UNCHANGEDSINCE 12) +FLAGS.SILENT (\Deleted)`; got != want || d.Err() != nil {
		t.Errorf("got %s, %v", got, d.Err())
	}
}

func TestListCommands(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`"" *`:        `"" "*"`,
		`"" INBOX.%`:  `"" "INBOX.%"`,
		`"&AMk-" "%"`: `"&AMk-" "%"`,
		`(subscribed RECURSIVEMATCH) "" ("a" b*) RETURN (CHILDREN STATUS (MESSAGES UNSEEN))`: `(SUBSCRIBED RECURSIVEMATCH) "" ("a" "b*") RETURN (CHILDREN STATUS (MESSAGES UNSEEN))`,
		`"" "*" RETURN (SPECIAL-USE)`: `"" "*" RETURN (SPECIAL-USE)`,
	} {
		d := server(in + "\r\n")
		l := d.ListCommand()
		d.CRLF()
		if got := encode(func(e *Encoder) { e.ListCommand(l) }); got != want || d.Err() != nil {
			t.Errorf("%s came out as %s, %v", in, got, d.Err())
		}
	}
	for _, in := range []string{``, `""`, `"" ()`, `"" "*" FOO`, `"" "*" RETURN`, `"" "*" RETURN (STATUS)`, `"" "*" RETURN (STATUS ())`} {
		d := server(in + "\r\n")
		d.ListCommand()
		d.CRLF()
		if d.Err() == nil {
			t.Errorf("%q was taken", in)
		}
	}
	d := server(`("name" "Relais" "os" NIL) NIL` + "\r\n")
	id := d.ID()
	d.SP()
	if none := d.ID(); none != nil || len(id) != 2 || id[0].Value != "Relais" || d.Err() != nil {
		t.Error(id, none, d.Err())
	}
}

func TestClientLiterals(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	e := NewEncoder(&out, 0)
	waits := 0
	e.Wait = func() error {
		if waits++; waits == 2 {
			return errors.New("NO")
		}
		return nil
	}
	e.String("é").SP().LiteralBytes([]byte("never")).Raw("nor this")
	if e.Flush() == nil || out.String() != "{2}\r\né {5}\r\n" {
		t.Errorf("%q", out.String())
	}
	e.ClearErr()
	out.Reset()
	e.NonSync = AnySize
	e.Literal8(3, strings.NewReader("abc")).Literal(3, strings.NewReader("ab"))
	if err := e.Flush(); !errors.Is(err, io.ErrUnexpectedEOF) || waits != 2 {
		t.Error(err, waits)
	}
}
