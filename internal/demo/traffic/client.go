package traffic

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Refused is a reply that says no.
type Refused struct {
	Code int
	Text string
}

func (r *Refused) Error() string { return fmt.Sprintf("%d %s", r.Code, r.Text) }

// Conn is a lean SMTP client connection: plaintext, commands in one packet (RFC 2920).
type Conn struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	wait time.Duration
}

// Dial connects and says EHLO. Each answer must come within wait.
func Dial(addr, helo string, wait time.Duration) (*Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, wait)
	if err != nil {
		return nil, err
	}
	c := &Conn{conn, bufio.NewReaderSize(conn, 4096), bufio.NewWriterSize(conn, 1<<16), wait}
	c.arm()
	if err := c.expect(2); err == nil {
		_, err = fmt.Fprintf(c.w, "EHLO %s\r\n", helo)
		if err == nil {
			err = c.flushExpect(2)
		}
		if err == nil {
			return c, nil
		}
	}
	_ = conn.Close()
	return nil, fmt.Errorf("greeting of %s: %w", addr, err)
}

// Auth signs in by AUTH PLAIN (RFC 4616).
func (c *Conn) Auth(user, password string) error {
	c.arm()
	if _, err := fmt.Fprintf(c.w, "AUTH PLAIN %s\r\n", base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))); err != nil {
		return err
	}
	return c.flushExpect(2)
}

// Send hands a message over. A nil error is the server's 250 after the final dot; a *Refused is its no, after which
// the connection may be used again; any other error leaves open what became of the message.
func (c *Conn) Send(from string, to []string, data []byte) error {
	c.arm()
	eight := ""
	if hasEightBit(data) {
		eight = " BODY=8BITMIME"
	}
	fmt.Fprintf(c.w, "MAIL FROM:<%s>%s\r\n", from, eight)
	for _, rcpt := range to {
		fmt.Fprintf(c.w, "RCPT TO:<%s>\r\n", rcpt)
	}
	c.w.WriteString("DATA\r\n")
	if err := c.w.Flush(); err != nil {
		return err
	}
	refused := c.expect(2)
	for range to {
		refused = errors.Join(refused, c.expect(2))
	}
	if err := c.expect(3); err != nil {
		if refused != nil && isRefusal(err) {
			return errors.Join(refused, c.reset())
		}
		return errors.Join(refused, err)
	}
	if refused != nil {
		// Some recipients were taken. A test has no use for half a delivery: give up on this connection.
		_ = c.conn.Close()
		return refused
	}
	if err := c.data(data); err != nil {
		return err
	}
	return c.expect(2)
}

func (c *Conn) data(data []byte) error {
	for len(data) > 0 {
		if data[0] == '.' {
			_ = c.w.WriteByte('.')
		}
		end := bytes.Index(data, []byte("\r\n."))
		if end < 0 {
			break
		}
		_, _ = c.w.Write(data[:end+2])
		data = data[end+2:]
	}
	_, _ = c.w.Write(data)
	if !bytes.HasSuffix(data, []byte("\r\n")) {
		_, _ = c.w.WriteString("\r\n")
	}
	_, _ = c.w.WriteString(".\r\n")
	return c.w.Flush() // a bufio.Writer keeps the first error
}

func (c *Conn) reset() error {
	_, _ = c.w.WriteString("RSET\r\n")
	return c.flushExpect(2)
}

// Close says QUIT without waiting for the answer.
func (c *Conn) Close() {
	_, _ = c.w.WriteString("QUIT\r\n")
	_ = c.w.Flush()
	_ = c.conn.Close()
}

func (c *Conn) arm() { _ = c.conn.SetDeadline(time.Now().Add(c.wait)) }

func (c *Conn) flushExpect(class int) error {
	if err := c.w.Flush(); err != nil {
		return err
	}
	return c.expect(class)
}

// expect reads one reply, which may have several lines.
func (c *Conn) expect(class int) error {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		if len(line) < 3 {
			return fmt.Errorf("odd reply %q", line)
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		code, err := strconv.Atoi(line[:3])
		if err != nil {
			return fmt.Errorf("odd reply %q", line)
		}
		if code/100 != class {
			return &Refused{code, strings.TrimSpace(line[3:])}
		}
		return nil
	}
}

func isRefusal(err error) bool {
	var r *Refused
	return errors.As(err, &r)
}

func hasEightBit(data []byte) bool {
	for _, b := range data {
		if b >= 0x80 {
			return true
		}
	}
	return false
}
