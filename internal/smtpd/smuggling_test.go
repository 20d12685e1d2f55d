package smtpd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestSmuggling sends every published false end of a message ("SMTP smuggling",
// SEC Consult 2023, and what followed) with a second message behind it, whole
// and byte by byte. The message must be refused for good, the second never taken
// and none of its commands answered.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	ends := []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r.\n", "\n.\r", "\r\n.\r\r\n", "\r\r\n.\r\n", "\r\n\r.\r\n", "\n\n.\r\n",
		"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n.\r\x00\n", "\r\n\x00.\n", "\n\x00.\r\n", "\x00\r\n.\r\n",
	}
	const second = "MAIL FROM:<admin@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nsmuggled\r\n.\r\nQUIT\r\n"
	h := &recorder{}
	_, addr := start(t, Config{}, h)
	for _, end := range ends {
		for _, size := range []int{1 << 20, 1} {
			// A real end at last lets a server go on that took the false one for text.
			reply, rest := sendMessage(t, addr, "Subject: a\r\n\r\nfirst"+end+second+"\r\n.\r\n", size)
			if !strings.HasPrefix(reply, "554 5.5.2 ") {
				t.Errorf("%q in pieces of %d: answered %q", end, size, reply)
			}
			if rest != "" {
				t.Errorf("%q in pieces of %d: then %q", end, size, rest)
			}
		}
	}
	if m, ok := h.take(); ok {
		t.Errorf("taken: %q", m.body)
	}
}

// TestOnlyTheTrueEndEndsAMessage has the same seconds stand in a message that is sent rightly: all of it is text.
func TestOnlyTheTrueEndEndsAMessage(t *testing.T) {
	t.Parallel()
	h := &recorder{}
	_, addr := start(t, Config{}, h)
	for _, text := range []string{"\r\n..\r\n", "\r\n. \r\n", "\r\n.\t\r\n", " .\r\n", "\r\n..\r\nMAIL FROM:<admin@example.org>\r\n"} {
		for _, size := range []int{1 << 20, 1} {
			reply, _ := sendMessage(t, addr, "first"+text+"last\r\n.\r\nQUIT\r\n", size)
			m, ok := h.take()
			want := strings.ReplaceAll("first"+text+"last\r\n", "\r\n.", "\r\n")
			if !ok || !strings.HasPrefix(reply, "250 ") || m.body != want {
				t.Errorf("%q: %q, taken %q", text, reply, m.body)
			}
		}
	}
}

// TestCommandsEndInCRLF: a command line that ends otherwise is not obeyed, nor what follows it.
func TestCommandsEndInCRLF(t *testing.T) {
	t.Parallel()
	h := &recorder{}
	_, addr := start(t, Config{}, h)
	for _, end := range []string{"\n", "\r", "\r\r\n", "\n\r", "\rX\r\n"} {
		conn := dial(t, addr)
		if _, err := fmt.Fprintf(conn, "HELO client.example\r\nNOOP%sNOOP\r\nMAIL FROM:<>\r\n", end); err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(said), "\r\n500 5.5.2 ") || strings.Contains(string(said), "sender ok") {
			t.Errorf("%q: %q, %v", end, said, err)
		}
	}
}

// TestRefusalReachesAClientThatGoesOnSending: a reset would lose the reply, and
// the client would come again for days.
func TestRefusalReachesAClientThatGoesOnSending(t *testing.T) {
	t.Parallel()
	_, addr := start(t, Config{}, &recorder{})
	reply, _ := sendMessage(t, addr, "a\nb\r\n"+strings.Repeat("0123456789\r\n", 1<<20)+".\r\n", 1<<20)
	if !strings.HasPrefix(reply, "554 5.5.2 ") {
		t.Errorf("answered %q", reply)
	}
}

// sendMessage sends data after 354 in pieces and returns the reply, and all that is said after it.
func sendMessage(t *testing.T, addr, data string, size int) (reply, rest string) {
	t.Helper()
	conn := dial(t, addr)
	r := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, "HELO client.example\r\nMAIL FROM:<bob@client.example>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if line, err := r.ReadString('\n'); err != nil || line[0] > '3' {
			t.Fatalf("%q, %v", line, err)
		}
	}
	for len(data) > 0 {
		n := min(size, len(data))
		if _, err := io.WriteString(conn, data[:n]); err != nil {
			t.Fatalf("the reply would be lost: %v", err)
		}
		data = data[n:]
	}
	reply, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("no reply: %v", err)
	}
	after, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("after %q: %v", reply, err)
	}
	return reply, string(after)
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}
