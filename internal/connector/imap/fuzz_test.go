package imapconn

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"relais/internal/imap"
)

// FuzzServer lets a server answer anything: every call must come back, with an
// error or without, and nothing may be left running.
func FuzzServer(f *testing.F) {
	f.Add("* OK hi\r\nR1 OK [CAPABILITY IMAP4rev1 LIST-EXTENDED LIST-STATUS MULTIAPPEND LITERAL+] in\r\n* LIST (\\Sent) \"/\" x\r\n* STATUS x (MESSAGES 4)\r\nR2 OK\r\n")
	f.Add("* OK [CAPABILITY IMAP4rev1] hi\r\nR1 OK\r\nR2 OK\r\n* 1 EXISTS\r\n* OK [UIDVALIDITY 3] x\r\nR3 OK\r\n* 1 FETCH (UID 4 FLAGS (\\Seen) BODY[] {3}\r\nabc)\r\nR4 OK\r\n")
	f.Add("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\nR1 OK [CAPABILITY IMAP4rev2 QRESYNC] x\r\nR2 OK\r\n* VANISHED (EARLIER) 1:4\r\n* ESEARCH (TAG \"R4\") UID ALL 1:*\r\nR3 NO [COPYUID 1 1:4294967294 1:4294967294] x\r\n+ go\r\n")
	f.Fuzz(func(t *testing.T, answers string) {
		there, here := net.Pipe()
		played := make(chan struct{})
		go func() {
			defer close(played)
			go func() { _, _ = io.Copy(io.Discard, there) }()
			_, _ = io.Copy(there, strings.NewReader(answers))
			_ = there.Close()
		}()
		defer func() { _ = here.Close(); <-played }()
		cfg := Config{Addr: "a:1", TLS: TLSNone, Timeout: time.Second, MaxLiteral: 1 << 16,
			Dial: func(context.Context, string, string) (net.Conn, error) { return here, nil }}
		c, err := Dial(t.Context(), cfg)
		if err != nil {
			return
		}
		if c.SignIn(t.Context(), Credentials{Login: "ann", Secret: "x"}) == nil {
			_, _ = c.List(t.Context(), ListOptions{Status: []imap.StatusItem{imap.StatusMessages}})
			_, _ = c.Select(t.Context(), "x", SelectOptions{})
			_, _ = fetchAll(t.Context(), c, FetchOptions{Flags: true, Sections: []imap.FetchItem{WholeMessage}})
			_, _ = c.Copy(t.Context(), all, "y")
			_, _ = c.AppendAll(t.Context(), "x", []AppendMessage{{Body: []byte("a")}, {Body: []byte("b")}})
		}
		_ = c.Close()
	})
}
