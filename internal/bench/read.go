package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"relais/internal/demo/traffic"
)

// box is a connection to somebody's mailbox: it passes over what it reads, so
// that the machine's time goes to the node.
type box struct {
	conn net.Conn
	r    *bufio.Reader
}

// boxes are everybody's.
type boxes []*box

// open signs everybody in and opens the inboxes: checking a password takes its
// time on purpose, and is not measured.
func (n *node) open(company traffic.Company) (boxes, error) {
	all := make(boxes, len(company.Staff))
	err := together(len(all), func(i int) error {
		conn, err := net.DialTimeout("tcp", n.imap(), patience)
		if err != nil {
			return err
		}
		b := &box{conn, bufio.NewReaderSize(conn, 64<<10)}
		all[i] = b
		if _, err := b.r.ReadString('\n'); err != nil { // the greeting
			return fmt.Errorf("IMAP greeting: %w", err)
		}
		who := company.Staff[i]
		if _, _, err := b.do(fmt.Sprintf("LOGIN %q %q", who.Email, who.Password)); err != nil {
			return err
		}
		_, _, err = b.do("SELECT INBOX")
		return err
	})
	return all, err
}

// close ends the connections.
func (all boxes) close() {
	for _, b := range all {
		if b != nil {
			_ = b.conn.Close()
		}
	}
}

// read fetches every message, so many mailboxes at once, and counts messages and their bytes.
func (all boxes) read(atOnce int) (messages int, bytes int64, err error) {
	var next, count, size atomic.Int64
	err = together(atOnce, func(int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(all) {
				return nil
			}
			n, b, err := all[i].do("UID FETCH 1:* (FLAGS BODY.PEEK[])")
			if err != nil {
				return err
			}
			count.Add(int64(n))
			size.Add(b)
		}
	})
	return int(count.Load()), size.Load(), err
}

// do sends a command and reads to its end; it counts literals and their bytes.
func (b *box) do(command string) (literals int, bytes int64, err error) {
	if err := b.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, 0, err
	}
	if _, err := io.WriteString(b.conn, "a "+command+"\r\n"); err != nil {
		return 0, 0, err
	}
	word, _, _ := strings.Cut(command, " ")
	for {
		line, err := b.r.ReadSlice('\n')
		if err != nil {
			return literals, bytes, fmt.Errorf("IMAP %s: %w", word, err)
		}
		if status, ok := strings.CutPrefix(string(line), "a "); ok {
			if !strings.HasPrefix(status, "OK") {
				err = fmt.Errorf("IMAP %s: %s", word, strings.TrimSpace(status))
			}
			return literals, bytes, err
		}
		n, ok := literal(line)
		if !ok {
			continue
		}
		literals++
		bytes += n
		if err := b.conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return literals, bytes, err
		}
		if _, err := io.CopyN(io.Discard, b.r, n); err != nil {
			return literals, bytes, fmt.Errorf("IMAP %s: %w", word, err)
		}
	}
}

// literal is the length of the literal that the line announces (RFC 3501 §4.3).
func literal(line []byte) (n int64, ok bool) {
	text := strings.TrimRight(string(line), "\r\n")
	i := strings.LastIndexByte(text, '{')
	if i < 0 || !strings.HasSuffix(text, "}") {
		return 0, false
	}
	_, err := fmt.Sscanf(text[i:], "{%d}", &n)
	return n, err == nil
}
