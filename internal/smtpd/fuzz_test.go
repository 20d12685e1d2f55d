package smtpd

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"relais/internal/admit"
	"relais/internal/dialogtest"
)

// FuzzDialogue lets a client say anything: the server answers with whole reply
// lines and ends, no message holds what no message may, and all memory comes back.
func FuzzDialogue(f *testing.F) {
	for _, s := range []string{
		"EHLO a\r\nMAIL FROM:<> SIZE=9\r\nRCPT TO:<b@example.org>\r\nDATA\r\n",
		"HELO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@example.org>\r\nBDAT 3\r\na\r\nBDAT 2 LAST\r\n\r\nRSET\r\nQUIT\r\n",
		"EHLO a\r\nAUTH PLAIN\r\nAGFubkBleGFtcGxlLm9yZwBzZWNyZXQ=\r\n",
		"EHLO a\r\nAUTH LOGIN YW5u\r\n*\r\nSTARTTLS\r\n\x16\x03\x01",
		"MAIL FROM:<\"\\\" @a.example>\nRCPT\rTO\x00\r\n",
	} {
		f.Add([]byte(s), []byte("x\r\n..\r\n.\r\nNOOP\r\n"), true)
		f.Add([]byte(s), []byte("x\n.\r\n"), false)
	}
	serverTLS, _ := dialogtest.TLS(f)
	memory := admit.NewMemory(1<<20, time.Millisecond)
	f.Fuzz(func(t *testing.T, commands, data []byte, mx bool) {
		h := &recorder{}
		cfg := Config{Hostname: "mx.example.org", Mode: Submission, PlaintextAuth: true, TLS: serverTLS, MaxSize: 2000, Memory: memory}
		cfg.Timeouts.Handshake, cfg.Timeouts.Linger = time.Second, time.Second
		if mx {
			cfg.Mode = MX
		}
		s, err := New(cfg, h)
		if err != nil {
			t.Fatal(err)
		}
		server, client := net.Pipe()
		s.gate.Admit(server)
		go func() {
			for _, b := range [][]byte{commands, data, []byte("\r\nQUIT\r\n")} {
				_, _ = client.Write(b) // returns when the server has read it, or has gone
			}
			client.Close()
		}()
		said, _ := io.ReadAll(client)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		for line := range bytes.SplitAfterSeq(said, []byte("\r\n")) {
			if bytes.HasPrefix(commands, []byte("\x16")) || bytes.Contains(said, []byte("220 2.0.0")) {
				break // the TLS alert that follows is no line
			}
			if len(line) > 0 && (len(line) < 6 || line[0] < '2' || line[0] > '5' || !bytes.HasSuffix(line, []byte("\r\n"))) {
				t.Fatalf("said %q", line)
			}
		}
		for m, ok := h.take(); ok; m, ok = h.take() {
			if len(m.body) > 2000 || len(m.tx.Recipients) == 0 || bytes.Contains([]byte(m.body), []byte("\x00")) {
				t.Fatalf("took %q", m.body)
			}
		}
		if memory.Acquire(t.Context(), memory.Limit()) != nil {
			t.Fatal("memory was not given back")
		}
		memory.Release(memory.Limit())
	})
}
