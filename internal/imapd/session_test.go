package imapd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// observer is a client that keeps its own count of message numbers from what it is told.
type observer struct {
	*client
	uids []uint32 // 0: not told yet
}

func (o *observer) note(responses []string) {
	o.t.Helper()
	for _, r := range responses {
		f := strings.Fields(r)
		n, err := strconv.Atoi(f[1])
		if err != nil || len(f) < 3 {
			continue
		}
		switch f[2] {
		case "EXISTS":
			if n < len(o.uids) {
				o.t.Fatalf("%q with %d messages", r, len(o.uids))
			}
			o.uids = append(o.uids, make([]uint32, n-len(o.uids))...)
		case "EXPUNGE":
			if n > len(o.uids) {
				o.t.Fatalf("%q with %d messages", r, len(o.uids))
			}
			o.uids = append(o.uids[:n-1], o.uids[n:]...)
		case "FETCH":
			var uid uint32
			if i := strings.Index(r, "UID "); i >= 0 {
				fmt.Sscanf(r[i:], "UID %d", &uid)
			}
			if n > len(o.uids) || uid != 0 && o.uids[n-1] != 0 && o.uids[n-1] != uid {
				o.t.Fatalf("%q, but that number is UID %d of %d", r, o.uids[min(n, len(o.uids))-1], len(o.uids))
			}
			if uid != 0 {
				o.uids[n-1] = uid
			}
		}
	}
}

// TestMessageNumbersStayRight has three clients change one mailbox in random
// order; each must be able to follow which number is which message.
func TestMessageNumbersStayRight(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	b := setup(t, nil)
	var all []*observer
	for range 3 {
		o := &observer{client: signIn(t, b.addr, "ann@example.org", "secret")}
		o.note(o.ok("SELECT INBOX"))
		all = append(all, o)
	}
	all[2].ok("ENABLE CONDSTORE")
	for range 400 {
		o := all[rnd.IntN(len(all))]
		n := func() int { return 1 + rnd.IntN(max(1, len(o.uids))) }
		var command string
		switch rnd.IntN(10) {
		case 0, 1:
			b.Deliver(b.ann, "note")
			continue
		case 2:
			command = fmt.Sprintf(`STORE %d +FLAGS (\Deleted)`, n())
		case 3:
			command = fmt.Sprintf(`UID STORE %d:* +FLAGS.SILENT (\Seen)`, 1+rnd.IntN(50))
		case 4:
			command = "EXPUNGE"
		case 5:
			command = fmt.Sprintf("MOVE %d Archive", n())
		case 6:
			command = "FETCH 1:* (UID FLAGS)"
		case 7:
			command = "SEARCH UNSEEN"
		case 8:
			command = fmt.Sprintf("UID COPY %d:* INBOX", 1+rnd.IntN(100))
		default:
			command = "NOOP"
		}
		untagged, end := o.do(command)
		if !strings.HasPrefix(end, "OK") && len(o.uids) > 0 {
			t.Fatalf("%s: %s", command, end)
		}
		o.note(untagged)
		if len(o.uids) > 60 {
			o.ok(`STORE 1:40 +FLAGS.SILENT (\Deleted)`)
			o.note(o.ok("EXPUNGE"))
		}
	}
	var want []uint32
	b.See(func(ctx context.Context, tx *record.Tx) error {
		return tx.Mailbox.Placements(ctx, b.Box(b.ann.Account, "INBOX").ID, 1, 0, func(p mailbox.Placement) error {
			want = append(want, p.UID)
			return nil
		})
	})
	for i, o := range all {
		o.note(o.ok("NOOP"))
		if len(want) > 0 {
			o.note(o.ok("UID FETCH 1:* UID"))
		}
		if fmt.Sprint(o.uids) != fmt.Sprint(want) {
			t.Errorf("client %d has %v, the record %v", i, o.uids, want)
		}
	}
}

// TestShutdownSaysBye: one client idles, one waits; both hear why it ends.
func TestShutdownSaysBye(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	idle, still := signIn(t, b.addr, "ann@example.org", "secret"), dial(t, b.addr)
	idle.write("x IDLE\r\n")
	idle.response()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client{idle, still} {
		if got := c.response(); got != "* BYE the server is closing down" {
			t.Errorf("heard %q", got)
		}
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Errorf("then %v", err)
		}
	}
	if open := b.server.Stats().Open; open != 0 {
		t.Errorf("%d connections are left", open)
	}
}

// TestTimesOut: who does not sign in in time, and who stays silent, is told so.
func TestTimesOut(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.SignInTimeout, c.IdleTimeout = 300*time.Millisecond, 600*time.Millisecond })
	stranger := dial(t, b.addr)
	silent := signIn(t, b.addr, "ann@example.org", "secret")
	for _, c := range []*client{stranger, silent} {
		if got := c.response(); got != "* BYE nothing was heard for too long" {
			t.Errorf("heard %q", got)
		}
	}
}

// TestConnectionsPerAddress: strangers of one address are bounded, people signed in are not counted.
func TestConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.MaxPerIP = 2 })
	signIn(t, b.addr, "ann@example.org", "secret")
	dial(t, b.addr)
	dial(t, b.addr)
	nc, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if got, _ := io.ReadAll(nc); !bytes.HasPrefix(got, []byte("* BYE [LIMIT]")) {
		t.Errorf("heard %q", got)
	}
}

func TestMatchPattern(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b", true}, {"%", "a/b", false}, {"%", "a", true}, {"a/%", "a/b", true}, {"a/%", "a/b/c", false}, {"a*c", "a/b/c", true},
		{"", "a", false}, {"a", "a", true}, {"a", "ab", false}, {"%/%", "a/b", true}, {"*b", "a/b", true}, {"%b", "a/b", false}, {"a%*", "a", true},
		{strings.Repeat("*a", 50), strings.Repeat("a", 49), false},
	} {
		if got := matchPattern(test.pattern, test.name); got != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, test.name, got)
		}
	}
}

// FuzzSession says anything to a server after SELECT: it must go on, and never call itself wrong.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"c FETCH 1:* (FLAGS BODY[1.MIME] ENVELOPE)", "c STORE 1:* (UNCHANGEDSINCE 5) +FLAGS (\\Deleted x)\r\nd EXPUNGE", "c UID MOVE * Archive\r\nd UID FETCH 1:* UID",
		"c SEARCH OR (NOT TEXT a) (UNDELETED 1:*) MODSEQ 1", "c LIST (SUBSCRIBED) \"\" (% *) RETURN (STATUS (SIZE))", "c APPEND INBOX (\\Seen) {4+}\r\na: b\r\n",
		"c ENABLE QRESYNC\r\nd SELECT INBOX (QRESYNC (1 1 1:5 (1 1)))", "c IDLE\r\nDONE", "c RENAME INBOX x/y\r\nd DELETE x/y\r\ne NOOP", "c FETCH 1 BODY[]<0.1>",
		"c CREATE a/b (USE (\\Junk))\r\nd STATUS a (MESSAGES)", "c COPY 1:3 INBOX\r\nd CLOSE\r\ne UNSELECT",
	} {
		f.Add([]byte(s))
	}
	b := setup(f, nil)
	var n atomic.Int64
	f.Fuzz(func(t *testing.T, said []byte) {
		b.T = t
		name := fmt.Sprintf("p%d", n.Add(1))
		p := b.Person(name)
		for range 3 {
			b.Deliver(p, "note")
		}
		ours, theirs := net.Pipe()
		b.server.gate.Admit(theirs)
		go func() {
			fmt.Fprintf(ours, "a LOGIN %s@example.org secret\r\nb SELECT INBOX\r\n%s\r\nz LOGOUT\r\n", name, said)
			ours.Close()
		}()
		heard, _ := io.ReadAll(ours)
		for _, wrong := range []string{"SERVERBUG", "CORRUPTION", "internal error"} {
			if bytes.Contains(heard, []byte(wrong)) && !bytes.Contains(said, []byte(wrong)) {
				t.Fatalf("%q made it say %q", said, heard)
			}
		}
		b.See(func(ctx context.Context, tx *record.Tx) error {
			boxes, err := tx.Mailbox.Mailboxes(ctx, p.Account)
			if err != nil || len(boxes) == 0 || boxes[0].Account != p.Account {
				t.Fatalf("mailboxes %v, %v", boxes, err)
			}
			_, err = tx.Mailbox.MailboxByRole(ctx, p.Account, mail.Inbox)
			return err
		})
	})
}
