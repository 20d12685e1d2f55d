// Package walker walks an account over IMAP with an independent client and compares two such walks.
//
// It shares no code with Relais, so that what Relais counts can be checked against it.
package walker

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Item is one message in one folder.
type Item struct {
	Folder string // UTF-8, levels parted by /
	UID    uint32
	Hash   [sha256.Size]byte // of the message as the author wrote it: without the trace headers put above it
	Raw    [sha256.Size]byte // of all its bytes; zero in an expectation where a path adds headers
	Flags  string            // sorted, lower case, parted by one space, without \Recent
	Date   time.Time         // INTERNALDATE; zero in an expectation that leaves it open
	Within time.Duration     // in an expectation: how far INTERNALDATE may be from Date; to the second if zero
	Title  string            // Subject and Message-ID as they stand, for people
}

// Account is what a walk found, or should find.
type Account struct {
	Login   string
	Folders []string // sorted
	Items   []Item
}

// Walk signs in at addr (plaintext) and reads every folder with every message.
func Walk(addr, login, password string) (Account, error) {
	return WalkHashing(addr, login, password, Hash)
}

// WalkHashing is Walk with another idea of which bytes are the author's.
func WalkHashing(addr, login, password string, hash func(body []byte) [sha256.Size]byte) (Account, error) {
	account, err := walk(addr, login, password, hash)
	if err != nil {
		return Account{}, fmt.Errorf("walk %s at %s: %w", login, addr, err)
	}
	return account, nil
}

func walk(addr, login, password string, hash func([]byte) [sha256.Size]byte) (Account, error) {
	c, err := imapclient.DialInsecure(addr, nil)
	if err != nil {
		return Account{}, err
	}
	defer func() { _ = c.Close() }()
	if err := c.Login(login, password).Wait(); err != nil {
		return Account{}, fmt.Errorf("sign in: %w", err)
	}
	account := Account{Login: strings.ToLower(strings.SplitN(login, "*", 2)[0])}
	folders, err := c.List("", "*", nil).Collect()
	if err != nil {
		return Account{}, fmt.Errorf("list: %w", err)
	}
	for _, f := range folders {
		if slices.Contains(f.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(f.Attrs, imap.MailboxAttrNonExistent) {
			continue
		}
		name := f.Mailbox
		if f.Delim != 0 && f.Delim != '/' {
			name = strings.ReplaceAll(name, string(f.Delim), "/")
		}
		account.Folders = append(account.Folders, name)
		items, err := folder(c, f.Mailbox, name, hash)
		if err != nil {
			return Account{}, fmt.Errorf("folder %s: %w", name, err)
		}
		account.Items = append(account.Items, items...)
	}
	slices.Sort(account.Folders)
	return account, c.Logout().Wait()
}

func folder(c *imapclient.Client, mailbox, name string, hash func([]byte) [sha256.Size]byte) ([]Item, error) {
	selected, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil || selected.NumMessages == 0 {
		return nil, err
	}
	all := imap.SeqSet{}
	all.AddRange(1, selected.NumMessages)
	cmd := c.Fetch(all, &imap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}},
	})
	var items []Item
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		item, err := read(msg, hash)
		if err != nil {
			_ = cmd.Close()
			return nil, err
		}
		item.Folder = name
		items = append(items, item)
	}
	if err := cmd.Close(); err != nil {
		return nil, err
	}
	if len(items) != int(selected.NumMessages) {
		return nil, fmt.Errorf("EXISTS says %d, FETCH gave %d", selected.NumMessages, len(items))
	}
	return items, nil
}

func read(msg *imapclient.FetchMessageData, hash func([]byte) [sha256.Size]byte) (Item, error) {
	var item Item
	for data := msg.Next(); data != nil; data = msg.Next() {
		switch data := data.(type) {
		case imapclient.FetchItemDataUID:
			item.UID = uint32(data.UID)
		case imapclient.FetchItemDataFlags:
			item.Flags = Flags(data.Flags)
		case imapclient.FetchItemDataInternalDate:
			item.Date = data.Time
		case imapclient.FetchItemDataBodySection:
			body, err := io.ReadAll(data.Literal)
			if err != nil {
				return Item{}, err
			}
			item.Hash, item.Raw, item.Title = hash(body), sha256.Sum256(body), Title(body)
		}
	}
	return item, nil
}

// Flags brings flags to the form of Item.Flags.
func Flags(flags []imap.Flag) string {
	var out []string
	for _, f := range flags {
		if s := strings.ToLower(string(f)); s != `\recent` {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}

// trace are the header fields that the paths of these stories put above a message. Only the unbroken
// run of them at the very top is left out of Hash; the same names further down belong to the author's bytes.
//
//   - Received: every server on the way (RFC 5321 §4.4).
//   - Return-Path, Delivered-To: Dovecot's LMTP at final delivery (RFC 5321 §4.4).
//   - Authentication-Results: Relais's MX (RFC 8601 §5).
//   - DKIM-Signature: Relais's submission (RFC 6376 §5).
var trace = []string{"received:", "return-path:", "delivered-to:", "authentication-results:", "dkim-signature:"}

// Hash is the SHA-256 of a message without the trace headers at its top.
func Hash(body []byte) [sha256.Size]byte { return sha256.Sum256(Strip(body)) }

// Strip takes the unbroken run of trace headers at the top off a message.
func Strip(body []byte) []byte {
	for {
		n := fieldLen(body)
		if n == 0 || !isTrace(body[:n]) {
			return body
		}
		body = body[n:]
	}
}

func isTrace(field []byte) bool {
	for _, name := range trace {
		if len(field) >= len(name) && strings.EqualFold(string(field[:len(name)]), name) {
			return true
		}
	}
	return false
}

// fieldLen is the length of the first header field with its folded lines and final CR LF, 0 if there is none.
func fieldLen(body []byte) int {
	n := 0
	for {
		end := bytes.IndexByte(body[n:], '\n')
		if end < 0 {
			return 0
		}
		n += end + 1
		if n >= len(body) || (body[n] != ' ' && body[n] != '\t') {
			return n
		}
	}
}

// Title is the Subject and Message-ID lines of a message as they stand.
func Title(body []byte) string {
	var found []string
	for len(body) > 0 {
		n := fieldLen(body)
		if n <= 2 {
			break
		}
		line := strings.TrimRight(string(body[:n]), "\r\n")
		if low := strings.ToLower(line); strings.HasPrefix(low, "subject:") || strings.HasPrefix(low, "message-id:") {
			found = append(found, line)
		}
		body = body[n:]
	}
	return strings.Join(found, " ")
}
