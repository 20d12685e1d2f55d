package mime

import (
	"slices"
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Mon, 2 Mar 2026 10:11:12 +0100":     "2026-03-02T10:11:12+01:00",
		"2 Mar 2026 10:11 -0930 (x)":         "2026-03-02T10:11:00-09:30",
		"Mon,02-Mar-98 10:11:12 EST":         "1998-03-02T10:11:12-05:00",
		"Mon 2 Mar 26 10.11.12 pdt":          "2026-03-02T10:11:12-07:00",
		"(c) Sun , (d) 1 Feb 2026 0:0:0 Z":   "2026-02-01T00:00:00Z",
		"Mon, 2 March 2026 23:59:60 GMT":     "2026-03-03T00:00:00Z",
		"Mon, 2 Mar 2026 10:11:12":           "2026-03-02T10:11:12Z",
		"Mon, 2 Mar 126 10:11:12 +0000":      "2026-03-02T10:11:12Z",
		"yesterday":                          "",
		"31 Feb 2026 10:00 +0000":            "",
		"2 Mar 2026 25:00 +0000":             "",
		"2 Foo 2026 10:00 +0000":             "",
		"":                                   "",
		"Mon, 2 Mar 99999 10:11:12 +0000":    "",
		"Thu, 1 Jan 1970 00:00:00 +0000 x y": "1970-01-01T00:00:00Z",
	} {
		got := ""
		if d, ok := ParseDate(in); ok {
			got = d.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestDecodeWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                                       "plain",
		"=?utf-8?Q?J=C3=BCrgen_M?= x":                 "Jürgen M x",
		"=?utf-8?B?R3LDvMOf?= \t =?utf-8?Q?e?=":       "Grüße",
		"=?utf-8?Q?=C3?= =?UTF-8?Q?=BC?=":             "ü",
		"=?iso-8859-1*de?q?=FC?=y":                    "üy",
		"=?nocharset?q?=FC?=":                         "ü",
		"=?utf-8?X?a?=":                               "=?utf-8?X?a?=",
		"=?utf-8?q?unterminated":                      "=?utf-8?q?unterminated",
		"a=?=??=?utf-8?q?b?=":                         "a=?=??b",
		"Gr\xfc\xdfe":                                 "Grüße",
		"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=":          "日本",
		"=?windows-1252?q?=80?= and =?koi8-r?q?=C1?=": "€ and а",
	} {
		if got := DecodeWords(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestBaseSubject(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Re: hello":                 "hello",
		"RE[2]: Fwd: hello (fwd)":   "hello",
		"[list] re: [x] hello":      "hello",
		"[list]":                    "[list]",
		"[fwd: Re: hello]":          "hello",
		"re:":                       "",
		"  Fw  : a   b ":            "a b",
		"=?utf-8?q?Re:_gr=C3=BCn?=": "grün",
		"regarding: x":              "regarding: x",
		"[a[b] c":                   "[a[b] c",
	} {
		if got := BaseSubject(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestMessageIDs(t *testing.T) {
	t.Parallel()
	got := MessageIDs("words <a@b> <c@\r\n d>,<a@b> <> <e <f@g> <open")
	if want := []string{"<a@b>", "<c@d>", "<f@g>"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	raw := []byte("Content-Type: application/x; name*0*=utf-8''gr%C3%BC; name*1=\"n 100%.txt\"\r\n" +
		"Content-Disposition: attachment; filename==?iso-8859-1?q?=FC.txt?=\r\n\r\n")
	c := Parse(raw).Content
	if got := c.Param("NAME"); got != "grün 100%.txt" {
		t.Errorf("name is %q", got)
	}
	if got := c.Filename(); got != "ü.txt" {
		t.Errorf("file name is %q", got)
	}
}

func TestAddressesWithGroup(t *testing.T) {
	t.Parallel()
	got := ParseAddresses(`=?utf-8?q?J=C3=BCrgen?= <j@x.example>, Team: "A, B" <ab@x.example>, c@x.example;, "d d"@x.example (Dora)`)
	var specs, names []string
	for _, a := range got {
		specs, names = append(specs, a.Spec()), append(names, a.Display())
	}
	if want := []string{"j@x.example", "", "ab@x.example", "c@x.example", "", "d d@x.example"}; !slices.Equal(specs, want) {
		t.Errorf("got %q, want %q", specs, want)
	}
	if want := []string{"Jürgen", "", "A, B", "", "", "Dora"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

// rewritten is what a server made of the same message: other line folding,
// transfer encodings, charset, header fields and white space at line ends.
func TestFingerprintSurvivesRewriting(t *testing.T) {
	t.Parallel()
	a := lines("Message-ID: <a@x>", "From: Ann <Ann@X.example>", "Date: Mon, 2 Mar 2026 10:11:12 +0100", "MIME-Version: 1.0",
		"Content-Type: multipart/mixed; boundary=b", "", "--b", "Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: quoted-printable", "",
		"Caf=E9  ", "two", "", "--b", "Content-Type: application/x", "Content-Transfer-Encoding: base64", "", "AAEC", "--b--", "")
	b := lines("Received: by gate", "From: \"Ann\"", " <ann@x.example>", "message-id:", " <a@x>", "Date: Mon, 2 Mar 2026 09:11:12 GMT", "MIME-Version: 1.0",
		"Content-Type: multipart/mixed; boundary=other", "", "gone", "--other", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64", "",
		"Q2Fmw6kKdHdvCg==", "--other", "Content-Type: application/x", "Content-Transfer-Encoding: quoted-printable", "", "=00=01=02", "--other--", "")
	fa, fb := FingerprintOf(a), FingerprintOf(b)
	if fa.Content != fb.Content || fa.Raw == fb.Raw {
		t.Errorf("got %+v, want %+v", fb, fa)
	}
	for i, other := range [][]byte{
		lines("Message-ID: <a@x>", "From: ann@x.example", "Date: Mon, 2 Mar 2026 10:11:12 +0100", "", "Café"),
		slices.Concat([]byte("Date: Mon, 2 Mar 2026 10:11:13 +0100\r\n"), a[:0:0]),
	} {
		if FingerprintOf(other).Content == fa.Content {
			t.Errorf("message %d has the same content", i)
		}
	}
}

func TestExamineCollectsThreadIDs(t *testing.T) {
	t.Parallel()
	f := Examine(lines("Message-ID: <c@x>", "In-Reply-To: <b@x>", "References: <a@x>", " <b@x>", "", "x"))
	if want := []string{"<c@x>", "<b@x>", "<a@x>"}; !slices.Equal(f.MessageIDs, want) {
		t.Errorf("got %q", f.MessageIDs)
	}
}
