package imapconn

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"relais/internal/fault"
	"relais/internal/imap"
	"relais/internal/mail"
)

var all = imap.NumSet{{First: 1, Last: imap.Star}}

func collect(t *testing.T, c *Conn, o FetchOptions) ([]*Message, error) {
	t.Helper()
	var got []*Message
	err := c.Fetch(t.Context(), all, o, func(m *Message) error {
		got = append(got, m)
		return nil
	})
	return got, err
}

func TestUnknownUntaggedResponsesArePassedOver(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 NOOP
	S: * XTHING (a "b" {3}
	S- x)
	S:  y) z
	S: * 12 XNUMBERED foo
	S: * OK [X-CODE 1 (2)] text
	S:
	S: R4 OK done
	C: R5 NOOP
	S: R5 OK
	`, Handler{})
	for range 2 {
		if err := c.Noop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnknownFetchItemIsPassedOver(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 UID FETCH 1:* (UID FLAGS MODSEQ)
	S: * 1 FETCH (X-GM-LABELS ("\\Sent" (a {2}
	S- xy
	S: )) FLAGS (\Seen \Recent $Fwd \Unknown) UID 4 X-N 5 MODSEQ (17))
	S: R4 OK done
	`, Handler{})
	got, err := collect(t, c, FetchOptions{Flags: true})
	if err != nil || len(got) != 1 || got[0].UID != 4 || got[0].ModSeq != 17 || got[0].Flags.String() != `(\Seen $Fwd)` {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestUntaggedVanishedReachesTheHandler(t *testing.T) {
	t.Parallel()
	var gone imap.NumSet
	var exists uint32
	c := open(t, `
	C: R4 NOOP
	S: * VANISHED 3:4,9
	S: * 1 EXISTS
	S: R4 OK done
	`, Handler{Vanished: func(u imap.NumSet) { gone = u }, Exists: func(n uint32) { exists = n }})
	if err := c.Noop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if gone.String() != "3:4,9" || exists != 1 {
		t.Errorf("vanished %s, exists %d", gone, exists)
	}
	select {
	case <-c.News():
	default:
		t.Error("no news")
	}
}

func TestNewsDuringAFetchIsNotItsAnswer(t *testing.T) {
	t.Parallel()
	var news []*Message
	c := open(t, `
	C: R4 UID FETCH 1:* (UID BODY.PEEK[])
	S: * 2 FETCH (FLAGS (\Seen))
	S: * 1 FETCH (UID 4 BODY[] {2}
	S- hi
	S: )
	S: * 2 FETCH (UID 5 FLAGS (\Seen))
	S: R4 OK done
	`, Handler{Message: func(m *Message) { news = append(news, m) }})
	got, err := collect(t, c, FetchOptions{Sections: []imap.FetchItem{WholeMessage}})
	if err != nil || len(got) != 1 || string(got[0].Body()) != "hi" || len(news) != 2 || news[0].Seq != 2 || news[1].UID != 5 {
		t.Fatalf("got %+v, news %+v, %v", got, news, err)
	}
}

func TestByeInTheMiddle(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 UID FETCH 1:* (UID FLAGS MODSEQ)
	S: * 1 FETCH (UID 4 FLAGS ())
	S: * BYE [UNAVAILABLE] shutting down
	CLOSE
	`, Handler{})
	got, err := collect(t, c, FetchOptions{Flags: true})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Words() != "BYE [UNAVAILABLE] shutting down" || !fault.Is(err, fault.Unavailable) || len(got) != 1 {
		t.Fatalf("%d messages, %v", len(got), err)
	}
	if err := c.Noop(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Error("after BYE:", err)
	}
}

func TestCutInALiteral(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 UID FETCH 1:* (UID BODY.PEEK[])
	S: * 1 FETCH (UID 4 BODY[] {2000000}
	S- only this
	CLOSE
	`, Handler{})
	got, err := collect(t, c, FetchOptions{Sections: []imap.FetchItem{WholeMessage}})
	if !errors.Is(err, io.ErrUnexpectedEOF) || !fault.Is(err, fault.Unavailable) || len(got) != 0 {
		t.Fatalf("%d messages, %v", len(got), err)
	}
}

func TestLiteralLongerThanSaidEndsTheConnection(t *testing.T) {
	t.Parallel()
	expunged := false
	c := open(t, `
	C: R4 UID FETCH 1:* (UID BODY.PEEK[])
	S: * 1 FETCH (UID 4 BODY[] {2}
	S: hi there
	S: * 1 EXPUNGE
	S: R4 OK forged by the message
	`, Handler{Expunge: func(uint32) { expunged = true }})
	if _, err := collect(t, c, FetchOptions{Sections: []imap.FetchItem{WholeMessage}}); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	_ = c.Close()
	if expunged {
		t.Error("the message's bytes were taken for a response")
	}
}

func TestLiteralShorterThanSaidEndsTheConnection(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 UID FETCH 1:* (UID BODY.PEEK[])
	S: * 1 FETCH (UID 4 BODY[] {9}
	S- hi
	S: )
	S: R4 OK done
	S: * 3 EXISTS
	`, Handler{})
	if _, err := collect(t, c, FetchOptions{Sections: []imap.FetchItem{WholeMessage}}); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
}

func TestLiteralBeyondTheBound(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 UID FETCH 1:* (UID BODY.PEEK[])
	S: * 1 FETCH (UID 4 BODY[] {1001}
	`, Handler{}, func(cfg *Config) { cfg.MaxLiteral = 1000 })
	_, err := collect(t, c, FetchOptions{Sections: []imap.FetchItem{WholeMessage}})
	if e, ok := errors.AsType[*imap.LimitError](err); !ok || e.What != "literal" {
		t.Fatal(err)
	}
}

func TestAnswersWithoutEnd(t *testing.T) {
	t.Parallel()
	c := open(t, "C: R4 NOOP\n"+strings.Repeat("S: * X\n", 100)+"STALL", Handler{}, func(cfg *Config) { cfg.MaxUntagged = 50 })
	if err := c.Noop(t.Context()); !fault.Is(err, fault.OverLimit) {
		t.Fatal(err)
	}
}

func TestMalformedListFailsTheCommandNotTheConnection(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 LIST "" "*"
	C: R5 LSUB "" "*"
	S: * LIST (\HasNoChildren) "/" INBOX
	S: * LIST (\Bad "/ broken
	S: R4 OK done
	S: R5 OK done
	C: R6 NOOP
	S: R6 OK
	`, Handler{})
	if boxes, err := c.List(t.Context(), ListOptions{}); err == nil {
		t.Errorf("half a list was taken for a whole one: %v", boxes)
	}
	if err := c.Noop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestThrottled(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 UID FETCH 1:* (UID FLAGS MODSEQ)
	S: R4 NO [THROTTLED] slow down
	C: R5 APPEND INBOX (\Seen) {2+}
	C: hi
	S: R5 NO [OVERQUOTA] Quota exceeded
	C: R6 DELETE INBOX
	S: R6 NO no code at all
	`, Handler{})
	if _, err := collect(t, c, FetchOptions{Flags: true}); !fault.Is(err, fault.Temporary) || !fault.Retryable(err) || !errors.Is(err, WithCode(imap.CodeThrottled)) {
		t.Error(err)
	}
	_, err := c.Append(t.Context(), "INBOX", AppendMessage{Flags: mail.Flags{System: mail.Seen}, Body: []byte("hi")})
	if !fault.Is(err, fault.OverLimit) || err.Error() != "APPEND: NO [OVERQUOTA] Quota exceeded" {
		t.Error(err)
	}
	if err := c.Delete(t.Context(), "INBOX"); !fault.Is(err, fault.Denied) || errors.Is(err, WithCode("")) {
		t.Error(err)
	}
}

func TestAbsentCapabilitiesAreNotImitated(t *testing.T) {
	t.Parallel()
	c := open(t, ``, Handler{}, func(cfg *Config) { cfg.Ignore = []string{"UIDPLUS", "MOVE"} })
	for _, err := range []error{
		c.Expunge(t.Context(), all),
		second(c.Move(t.Context(), all, "x")),
	} {
		if _, ok := errors.AsType[*UnsupportedError](err); !ok || !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
	}
}

func second[A any](_ A, err error) error { return err }

func TestBareServer(t *testing.T) {
	t.Parallel()
	c := dial(t, `
	S: * OK hi
	C: R1 CAPABILITY
	S: * CAPABILITY IMAP4rev1
	S: R1 OK
	C: R2 LOGIN "ann" "x"
	S: R2 OK
	C: R3 CAPABILITY
	S: * CAPABILITY IMAP4rev1
	S: R3 OK
	C: R4 LIST "" "*"
	C: R5 LSUB "" "*"
	S: * LIST () "." inbox
	S: * LIST (\Noselect) "." a&b
	S: * LIST (\Sent) "." "Ge sendet"
	S: R4 OK
	S: * LSUB () "." "Ge sendet"
	S: R5 OK
	C: R6 STATUS INBOX (MESSAGES)
	C: R7 STATUS "Ge sendet" (MESSAGES)
	S: * STATUS INBOX (MESSAGES 3)
	S: R6 OK
	S: R7 NO broken
	C: R8 SELECT INBOX
	S: * 0 EXISTS
	S: * OK [PERMANENTFLAGS (\Seen)] .
	S: R8 OK
	C: R9 UID SEARCH UID 5:*
	S: * SEARCH 5 7 6
	S: R9 OK
	C: R10 CREATE Trash
	S: R10 OK
	C: R11 STATUS a&b (MESSAGES)
	S: * STATUS a&b (MESSAGES 0)
	S: R11 OK
	`)
	if err := c.SignIn(t.Context(), Credentials{Login: "ann", Secret: "x"}); err != nil {
		t.Fatal(err)
	}
	boxes, err := c.List(t.Context(), ListOptions{Status: []imap.StatusItem{imap.StatusMessages, imap.StatusHighestModSeq}})
	if err != nil || len(boxes) != 3 {
		t.Fatal(boxes, err)
	}
	if b := boxes[0]; b.Name != "INBOX" || b.Role != mail.Inbox || b.Delim != '.' || b.Subscribed || b.Status == nil {
		t.Errorf("%+v", b)
	}
	if b := boxes[1]; !b.NoSelect || b.Status != nil {
		t.Errorf("%+v", b)
	}
	if b := boxes[2]; b.Role != mail.Sent || !b.Subscribed || b.StatusErr == nil {
		t.Errorf("%+v", b)
	}
	s, err := c.Select(t.Context(), "INBOX", SelectOptions{QResync: &imap.QResync{UIDValidity: 1, ModSeq: 1}})
	if err != nil || s.Keeps("$Fwd") || s.Keeps(`\Draft`) || !s.Keeps(`\seen`) {
		t.Fatal(s, err)
	}
	found, err := c.Search(t.Context(), imap.SearchKey{Op: imap.SearchUID, Set: imap.NumSet{{First: 5, Last: imap.Star}}})
	if err != nil || found.String() != "5:7" {
		t.Fatal(found, err)
	}
	if _, err := c.Create(t.Context(), "Trash", mail.Trash); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context(), boxes[1].Name, imap.StatusMessages); err != nil {
		t.Fatal(err)
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 IDLE
	S: + idling
	C: DONE
	S: R4 OK
	C: R5 IDLE
	S: + idling
	S: * OK Still here
	S: * 4 EXISTS
	C: DONE
	S: R5 OK
	C: R6 IDLE
	S: R6 BAD no idling today
	C: R7 NOOP
	S: R7 OK
	`, Handler{}, func(cfg *Config) { cfg.IdleFor = time.Millisecond })
	if news, err := c.Idle(t.Context()); !news || err != nil {
		t.Fatal(news, err)
	}
	if news, err := c.Idle(t.Context()); news || !fault.Is(err, fault.Invalid) {
		t.Fatal(news, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if news, err := c.Idle(ended); news || err != nil {
		t.Fatal(news, err)
	}
	if err := c.Noop(t.Context()); err != nil {
		t.Fatal("the end of Idle's context ended the connection:", err)
	}
}

func TestHalfDeadServer(t *testing.T) {
	t.Parallel()
	c := open(t, "C: R4 NOOP\nSTALL", Handler{}, func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond })
	if err := c.Noop(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	for _, script := range []string{"STALL", "CLOSE", "S: * BYE [UNAVAILABLE] no", "S: 220 smtp.example ESMTP"} {
		if _, err := Dial(t.Context(), dialog(t, script, func(cfg *Config) { cfg.DialTimeout = 50 * time.Millisecond })); !fault.Is(err, fault.Unavailable) {
			t.Error(script, err)
		}
	}
}

func TestCancelledCommandClosesTheConnection(t *testing.T) {
	t.Parallel()
	heard := make(chan struct{})
	c := open(t, "C: R4 NOOP\nS: * 4 EXISTS\nSTALL", Handler{Exists: func(uint32) { close(heard) }})
	ctx, cancel := context.WithCancel(t.Context())
	stop := make(chan error)
	go func() { stop <- c.Noop(ctx) }()
	<-heard
	cancel()
	if err := <-stop; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-c.Done()
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	c := dial(t, `
	S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi
	C: R1 AUTHENTICATE PLAIN
	S: +
	C: YW5uAG1hc3RlcgB4
	S: R1 NO [AUTHENTICATIONFAILED] no
	C: R2 AUTHENTICATE XOAUTH2
	S: +
	C: dXNlcj1hbm4BYXV0aD1CZWFyZXIgdG9rAQE=
	S: + eyJzdGF0dXMiOiI0MDAifQ==
	C:
	S: R2 NO bad token
	`)
	err := c.SignIn(t.Context(), Credentials{Login: "ann", Master: "master", MasterAuthzid: true, Secret: "x"})
	if !fault.Is(err, fault.Unauthenticated) {
		t.Error(err)
	}
	if err := c.SignIn(t.Context(), Credentials{Login: "ann", Token: "tok"}); !fault.Is(err, fault.Unauthenticated) {
		t.Error(err)
	}
}

func TestPlainTextIntoTLSHandshake(t *testing.T) {
	t.Parallel()
	_, err := Dial(t.Context(), dialog(t, `
	S: * PREAUTH hi
	`, func(cfg *Config) { cfg.TLS = TLSStart }))
	if !fault.Is(err, fault.Denied) {
		t.Error(err)
	}
	_, err = Dial(t.Context(), dialog(t, `
	S: * OK hi
	C: T0 STARTTLS
	S: T0 NO never
	`, func(cfg *Config) { cfg.TLS = TLSStart }))
	if !fault.Is(err, fault.Denied) {
		t.Error(err)
	}
}
