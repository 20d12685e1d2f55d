package smtp

import (
	"errors"
	"io"
	"strings"
	"testing"

	"relais/internal/mail"
)

func TestReadLineEndsAtCRLFOnly(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		wire, want string
		err        error
	}{
		{"NOOP\r\n", "NOOP", nil},
		{"\r\n", "", nil},
		{"NOOP\n", "", BareLF},
		{"\n", "", BareLF},
		{"NO\rOP\r\n", "", BareCR},
		{"NOOP\r\r\n", "", BareCR},
		{"NOOP\rX", "", BareCR},
		{"NOOP\r", "", io.ErrUnexpectedEOF},
		{"NOOP", "", io.ErrUnexpectedEOF},
		{"", "", io.EOF},
		{strings.Repeat("x", 512) + "\r\n", strings.Repeat("x", 512), nil},
		{strings.Repeat("x", 513) + "\r\n", "", ErrLineTooLong},
		{strings.Repeat("x", 20000), "", ErrLineTooLong},
	} {
		for name, src := range sources(tc.wire) {
			got, err := NewReader(src).ReadLine(512)
			if !errors.Is(err, tc.err) || string(got) != tc.want {
				t.Errorf("%s of %.20q: %q, %v", name, tc.wire, got, err)
			}
		}
	}
}

func TestReadLineGrowsForLongLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", MaxAuthLine)
	for name, src := range sources("x\r\n" + long + "\r\ny\r\n") {
		r := NewReader(src)
		for _, want := range []string{"x", long, "y"} {
			if got, err := r.ReadLine(MaxAuthLine); err != nil || string(got) != want {
				t.Fatalf("%s: %.10q, %v", name, got, err)
			}
		}
	}
}

func TestParseCommand(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]Command{
		"NOOP":                {Noop, ""},
		"noop  ":              {Noop, ""},
		"EHLO mx.example.org": {Ehlo, "mx.example.org"},
		"Mail FROM:<>":        {Mail, "FROM:<>"},
		"BDAT 10 LAST":        {Bdat, "10 LAST"},
		"starttls":            {StartTLS, ""},
	} {
		if got, err := ParseCommand([]byte(line)); err != nil || got != want {
			t.Errorf("%q: %v, %v", line, got, err)
		}
	}
	for _, line := range []string{"", " NOOP", "NOOPX", "NO\x00OP", "GET / HTTP/1.1", "NOOP " + strings.Repeat("x", MaxCommandLine)} {
		_, err := ParseCommand([]byte(line))
		if r, ok := errors.AsType[*Reply](err); !ok || r.Code != 500 {
			t.Errorf("%.20q: %v", line, err)
		}
	}
	if _, err := ParseCommand([]byte("AUTH PLAIN " + strings.Repeat("x", 9000))); err != nil {
		t.Errorf("a long AUTH: %v", err)
	}
}

func TestParseSender(t *testing.T) {
	t.Parallel()
	ann := mail.Address{Local: "ann", Domain: "example.org"}
	long := strings.Repeat("b", 100)
	for args, want := range map[string]Sender{
		"FROM:<>":                  {},
		"FROM:<ann@example.org>":   {Address: ann},
		"from: <ann@EXAMPLE.org.>": {Address: ann},
		"FROM:<@a.example,@b.example:ann@example.org>":                                {Address: ann},
		`FROM:<"ann"@example.org>`:                                                    {Address: ann},
		`FROM:<"a > \"b\" @ c"@example.org> SIZE=5`:                                   {Address: mail.Address{Local: `a > "b" @ c`, Domain: "example.org"}, Size: 5},
		"FROM:<ann@[192.0.2.1]>":                                                      {Address: mail.Address{Local: "ann", Domain: "[192.0.2.1]"}},
		"FROM:<ann@[IPv6:2001:db8::1]>":                                               {Address: mail.Address{Local: "ann", Domain: "[ipv6:2001:db8::1]"}},
		"FROM:<ann@example.org> BODY=8BITMIME size=1000 AUTH=<> RET=hdrs ENVID=a+2Bb": {Address: ann, Bit8: true, Size: 1000, Ret: "HDRS", EnvID: "a+2Bb"},
		"FROM:<jürgen@bücher.example> SMTPUTF8":                                       {Address: mail.Address{Local: "jürgen", Domain: "bücher.example"}, UTF8: true},
		"FROM:<a@xn--bcher-kva.example>":                                              {Address: mail.Address{Local: "a", Domain: "bücher.example"}},
		"FROM:<" + long + "@example.org>":                                             {Address: mail.Address{Local: long, Domain: "example.org"}},
		"FROM:<a..b.@example.org>":                                                    {Address: mail.Address{Local: "a..b.", Domain: "example.org"}},
		"FROM:<a@host_name>":                                                          {Address: mail.Address{Local: "a", Domain: "host_name"}},
	} {
		if got, err := ParseSender(args); err != nil || got != want {
			t.Errorf("%q: %+v, %v", args, got, err)
		}
	}
	for args, want := range map[string]int{
		"": 501, "ann@example.org": 501, "FROM:ann@example.org": 501, "FROM:<ann@example.org": 501, "FROM:<ann@example.org>SIZE=1": 501,
		"FROM:<ann>": 553, "FROM:<@example.org>": 553, "FROM:<ann@>": 553, "FROM:<a b@example.org>": 553, "FROM:<a@b@c.example>": 553,
		"FROM:<a@exam ple.org>": 553, "FROM:<a@.example>": 553, "FROM:<a@b..example>": 553, "FROM:<a@[300.1.1.1]>": 553, "FROM:<a@[::1]>": 553,
		`FROM:<"a@example.org>`: 501, `FROM:<"a"b@example.org>`: 553, "FROM:<\xff@example.org> SMTPUTF8": 553,
		"FROM:<" + strings.Repeat("a", 250) + "@example.org>": 553,
		"FROM:<jürgen@example.org>":                           553, "FROM:<a@bücher.example>": 553,
		"FROM:<> SIZE": 501, "FROM:<> SIZE=": 501, "FROM:<> SIZE=-1": 501, "FROM:<> SIZE=99999999999999999999": 501, "FROM:<> SIZE=1 size=1": 501,
		"FROM:<> BODY=BINARYMIME": 501, "FROM:<> SMTPUTF8=1": 501, "FROM:<> FOO=1": 555, "FROM:<> NOTIFY=NEVER": 555, "FROM:<> =1": 501, "FROM:<> RET=ALL": 501,
	} {
		_, err := ParseSender(args)
		if r, ok := errors.AsType[*Reply](err); !ok || r.Code != want {
			t.Errorf("%q: %v, want %d", args, err, want)
		}
	}
}

func TestParseRecipient(t *testing.T) {
	t.Parallel()
	ann := mail.Address{Local: "Ann", Domain: "example.org"}
	for args, want := range map[string]Recipient{
		"TO:<Ann@Example.Org>": {Address: ann, Original: "Ann@Example.Org"},
		`TO:<"Ann"@example.org> NOTIFY=success,Failure ORCPT=rfc822;ann+2Bx@example.org`: {Address: ann, Original: `"Ann"@example.org`, Notify: "SUCCESS,FAILURE", ORcpt: "rfc822;ann+2Bx@example.org"},
		"TO:<postmaster>": {Address: mail.Address{Local: "postmaster"}, Original: "postmaster"},
	} {
		if got, err := ParseRecipient(args, false); err != nil || got != want {
			t.Errorf("%q: %+v, %v", args, got, err)
		}
	}
	for args, want := range map[string]int{
		"TO:<>": 553, "TO:ann@example.org": 501, "FROM:<ann@example.org>": 501, "TO:<ann@example.org> SIZE=1": 555, "TO:<é@example.org>": 553,
		"TO:<ann@example.org> NOTIFY=NEVER,DELAY": 501, "TO:<ann@example.org> ORCPT=x": 501,
	} {
		_, err := ParseRecipient(args, false)
		if r, ok := errors.AsType[*Reply](err); !ok || r.Code != want {
			t.Errorf("%q: %v, want %d", args, err, want)
		}
	}
}

func TestParseChunk(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]Chunk{"0": {0, false}, "10": {10, false}, "86 LAST": {86, true}, "0 last": {0, true}} {
		if got, err := ParseChunk(args); err != nil || got != want {
			t.Errorf("%q: %v, %v", args, got, err)
		}
	}
	for _, args := range []string{"", "x", "-1", "+1", "10 FIRST", "10LAST", "99999999999999999999 LAST"} {
		if got, err := ParseChunk(args); err == nil {
			t.Errorf("%q: %v", args, got)
		}
	}
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{"EHLO a", "MAIL FROM:<a@b.example> SIZE=1 BODY=8BITMIME", `RCPT TO:<"a b"@[IPv6:::1]> NOTIFY=NEVER`, "BDAT 1 LAST", "AUTH PLAIN AGEAYg==", "RCPT TO:<@a:é@xn--a>", "RCPT TO:<Postmaster>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := ParseCommand([]byte(line))
		if err != nil {
			return
		}
		switch c.Verb {
		case Mail:
			s, err := ParseSender(c.Args)
			if err == nil {
				sane(t, line, s.Address)
			}
		case Rcpt:
			r, err := ParseRecipient(c.Args, true)
			if err == nil {
				sane(t, line, r.Address)
			}
		case Bdat:
			if k, err := ParseChunk(c.Args); err == nil && k.Size < 0 {
				t.Fatalf("%q: %v", line, k)
			}
		case Auth:
			if b, err := DecodeSASL([]byte(c.Args)); err == nil {
				_, _ = ParsePlain(b)
			}
		}
	})
}

// sane checks what all who store or resend an address count on: written out and read again, it is the same.
func sane(t *testing.T, line string, a mail.Address) {
	t.Helper()
	s := a.String()
	if strings.ContainsAny(s, "\r\n\x00") || len(a.Domain) > 2*maxAddress {
		t.Fatalf("%q gave %q", line, s)
	}
	if a.IsNull() || a.Domain == "" {
		return
	}
	again, err := ParseSender("FROM:<" + s + "> SMTPUTF8")
	if err != nil || again.Address != a {
		t.Fatalf("%q gave %q, read again %q, %v", line, s, again.Address, err)
	}
}
