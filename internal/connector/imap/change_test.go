package imapconn

import (
	"testing"

	"relais/internal/fault"
	"relais/internal/imap"
)

func TestMissingAppendUID(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 APPEND &AMk-l&AOk- {2+}
	C: hi
	S: R4 OK filed
	`, Handler{})
	got, err := c.Append(t.Context(), "Élé", AppendMessage{Body: []byte("hi")})
	if err != nil || got.UID != 0 || got.UIDValidity != 0 {
		t.Fatal(got, err)
	}
}

func TestMultiAppendRefusedIsTriedOneByOne(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 APPEND x {1+}
	C: a {2+}
	C: bb
	S: R4 NO [TOOBIG] one of them
	C: R5 APPEND x {1+}
	C: a
	S: R5 OK [APPENDUID 7 12] ok
	C: R6 APPEND x {2+}
	C: bb
	S: R6 NO [TOOBIG] this one
	C: R7 APPEND x {1+}
	C: a {2+}
	C: cc
	S: R7 OK [APPENDUID 7 13,15] ok
	`, Handler{})
	got, err := c.AppendAll(t.Context(), "x", []AppendMessage{{Body: []byte("a")}, {Body: []byte("bb")}})
	if err != nil || got[0].UID != 12 || got[0].Err != nil || !fault.Is(got[1].Err, fault.TooLarge) {
		t.Fatal(got, err)
	}
	got, err = c.AppendAll(t.Context(), "x", []AppendMessage{{Body: []byte("a")}, {Body: []byte("cc")}})
	if err != nil || got[0].UID != 13 || got[1].UID != 15 {
		t.Fatal(got, err)
	}
}

func TestSynchronisingLiterals(t *testing.T) {
	t.Parallel()
	c := dial(t, `
	S: * OK [CAPABILITY IMAP4rev1] hi
	C: R1 LOGIN "ann" {4}
	S: + go on
	C: pé"
	S: * CAPABILITY IMAP4rev1
	S: R1 OK in
	C: R2 CAPABILITY
	S: * CAPABILITY IMAP4rev1
	S: R2 OK
	C: R3 APPEND x {2}
	S: R3 NO [TRYCREATE] no such mailbox
	C: R4 APPEND x {2}
	S: +
	C: hi
	S: R4 OK
	`)
	if err := c.SignIn(t.Context(), Credentials{Login: "ann", Secret: "pé\""}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(t.Context(), "x", AppendMessage{Body: []byte("hi")}); !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	if _, err := c.Append(t.Context(), "x", AppendMessage{Body: []byte("hi")}); err != nil {
		t.Fatal(err)
	}
}

func TestCopyUIDKeepsItsOrder(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 UID MOVE 3:5,9 x
	S: * OK [COPYUID 8 9,3:4 20,30:31] moved
	S: * VANISHED 3:4,9
	S: R4 OK done
	`, Handler{})
	got, err := c.Move(t.Context(), imap.NumSetOf(3, 4, 5, 9), "x")
	if err != nil || !got.Known || got.UIDValidity != 8 || len(got.UIDs) != 3 || got.UIDs[9] != 20 || got.UIDs[4] != 31 {
		t.Fatal(got, err)
	}
}

func TestStoreUnchangedSince(t *testing.T) {
	t.Parallel()
	c := open(t, `
	C: R4 UID STORE 3:5 (UNCHANGEDSINCE 12) +FLAGS.SILENT (\Seen)
	S: * 1 FETCH (UID 3 MODSEQ (20))
	S: R4 OK [MODIFIED 4:5] some
	`, Handler{})
	got, err := c.Store(t.Context(), imap.NumSetOf(3, 4, 5), imap.Store{Op: imap.StoreAdd, Silent: true, Flags: []string{`\Seen`}, UnchangedSince: 12, HasUnchangedSince: true})
	if err != nil || got.Modified.String() != "4:5" || len(got.Messages) != 1 || got.Messages[0].ModSeq != 20 {
		t.Fatal(got, err)
	}
}

func TestLotsAreBounded(t *testing.T) {
	t.Parallel()
	big := AppendMessage{Body: make([]byte, lotBytes/2+1)}
	for want, messages := range map[int][]AppendMessage{
		1: {big, big}, 2: {{}, big, big}, lotMessages: make([]AppendMessage, 3*lotMessages), 0: nil,
	} {
		if got := lot(messages); got != want {
			t.Errorf("%d of %d messages, want %d", got, len(messages), want)
		}
	}
}
