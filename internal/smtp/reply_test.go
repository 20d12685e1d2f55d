package smtp

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"relais/internal/fault"
)

func TestReplyOverTheWire(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		reply *Reply
		wire  string
	}{
		{NewReply(250, "2.0.0", "ok"), "250 2.0.0 ok\r\n"},
		{NewReply(354, "", "go on"), "354 go on\r\n"},
		{&Reply{550, "5.7.1", []string{"no", "see example.org"}}, "550-5.7.1 no\r\n550 5.7.1 see example.org\r\n"},
	} {
		if got := string(tc.reply.Append(nil)); got != tc.wire {
			t.Errorf("%v is %q", tc.reply, got)
		}
		got, err := ReadReply(NewReader(strings.NewReader(tc.wire)))
		if err != nil || !cmp.Equal(got, tc.reply) {
			t.Errorf("%q read as %v, %v", tc.wire, got, err)
		}
	}
}

func TestReplyTextCanNotBreakOutOfItsLine(t *testing.T) {
	t.Parallel()
	wire := string(NewReply(550, "5.1.1", "no\r\n250 2.0.0 yes\x00").Append(nil))
	if wire != "550 5.1.1 no??250 2.0.0 yes?\r\n" {
		t.Errorf("%q", wire)
	}
	for line := range strings.SplitSeq(string(NewReply(550, "5.1.1", "%s", strings.Repeat("aé", 900)).Append(nil)), "\r\n") {
		if len(line) > 510 || strings.Contains(line, "?") {
			t.Errorf("%d bytes: %q", len(line), line)
		}
	}
}

func TestReadReplyRefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	for _, wire := range []string{"hello\r\n", "25\r\n", "250-a\r\n550 b\r\n", "150 x\r\n", "250 ok\n", "250_ok\r\n", strings.Repeat("250-x\r\n", 101)} {
		if r, err := ReadReply(NewReader(strings.NewReader(wire))); err == nil {
			t.Errorf("%.30q: %v", wire, r)
		}
	}
	if r, err := ReadReply(NewReader(strings.NewReader("250\r\n"))); err != nil || r.Code != 250 {
		t.Errorf("a bare code: %v, %v", r, err)
	}
}

func TestReplyForEachFault(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		at   Stage
		want string
	}{
		{fault.New(fault.NotFound, "no such person"), AtRecipient, "550 5.1.1 no such person"},
		{fault.New(fault.TooLarge, "too big"), AtData, "552 5.3.4 too big"},
		{fault.New(fault.OverLimit, "mailbox full"), AtRecipient, "452 4.2.2 mailbox full"},
		{fault.New(fault.Denied, "not you"), AtSender, "550 5.7.1 not you"},
		{fault.New(fault.Unauthenticated, "wrong"), AtAuth, "535 5.7.8 wrong"},
		{fault.New(fault.Frozen, "frozen"), AtRecipient, "450 4.2.1 frozen"},
		{fault.New(fault.Unavailable, "store away"), AtData, "451 4.4.1 store away"},
		{fmt.Errorf("file: %w", errors.New("disk /secret on fire")), AtData, "451 4.3.0 internal error"},
		{fmt.Errorf("ask primary: %w", NewReply(550, "5.2.1", "gone")), AtRecipient, "550 5.2.1 gone"},
	} {
		if got := ReplyFor(tc.err, tc.at).Error(); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.err, got, tc.want)
		}
	}
}

func TestEveryFaultHasItsReplies(t *testing.T) {
	t.Parallel()
	for _, code := range []fault.Code{
		fault.Invalid, fault.NotFound, fault.Conflict, fault.Denied, fault.Unauthenticated, fault.OverLimit, fault.TooLarge,
		fault.Temporary, fault.Unavailable, fault.Frozen, fault.AwaitsPerson, fault.Corrupt, fault.Internal,
	} {
		row := replies[code]
		for at, s := range row {
			if s.code < 400 || s.code > 599 || s.enhanced[0] != byte('0'+s.code/100) {
				t.Errorf("%s at %d: %v", code, at, s)
			}
			if fault.Retryable(fault.New(code, "x")) && s.code >= 500 {
				t.Errorf("%s at %d is worth a retry, yet %d", code, at, s.code)
			}
		}
	}
}

func TestSASL(t *testing.T) {
	t.Parallel()
	b, err := DecodeSASL([]byte("Ym9zcwBhbm4Ac2VjcmV0")) // boss NUL ann NUL secret
	if err != nil {
		t.Fatal(err)
	}
	if c, err := ParsePlain(b); err != nil || c != (Credentials{"boss", "ann", "secret"}) {
		t.Errorf("%+v, %v", c, err)
	}
	if b, err := DecodeSASL([]byte("=")); err != nil || len(b) != 0 {
		t.Errorf("= is %q, %v", b, err)
	}
	for _, line := range []string{"*", "!", "YQ", "YR=="} {
		if _, err := DecodeSASL([]byte(line)); err == nil {
			t.Errorf("%q was read", line)
		}
	}
	for _, message := range []string{"", "a", "\x00a", "\x00\x00b", "\x00a\x00", "\x00a\x00b\x00c", "\x00\xff\x00b", "\x00a\x00" + strings.Repeat("x", 2000)} {
		if c, err := ParsePlain([]byte(message)); err == nil {
			t.Errorf("%.20q: %+v", message, c)
		}
	}
	if _, err := ParseLogin([]byte("a\x00b"), []byte("c")); err == nil {
		t.Error("LOGIN with a NUL was taken")
	}
}
