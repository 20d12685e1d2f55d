package imapconn

import (
	"context"
	"strings"
	"sync/atomic"

	"relais/internal/imap"
)

// folderNames translates between a server's folder names and ours, which have
// "/" between levels. What one side can't hold inside a level is written =XX
// there, its code in hexadecimal: the server's separator, our "/", and "." for
// servers that store folders as Maildir++ and refuse it.
type folderNames struct {
	Namespace
	// noDots is learned, and true of the whole server: one session's refusal teaches all.
	noDots *atomic.Bool
}

// escaped are the characters that a level has at our side only.
func (n folderNames) escaped() string {
	s := ""
	if n.Delim != '/' {
		s = string(rune(n.Delim))
	}
	if n.noDots.Load() && n.Delim != '.' {
		s += "."
	}
	return s
}

// decode turns a server's folder name into ours. It is false for what lies outside the namespace.
func (n folderNames) decode(name string) (folder string, ours bool) {
	if name == "INBOX" {
		return name, true
	}
	rest, ok := strings.CutPrefix(name, n.Prefix)
	if !ok {
		return "", false
	}
	if n.Delim == 0 {
		return rest, true
	}
	if n.Delim != '/' {
		rest = strings.ReplaceAll(rest, "/", "=2F")
	}
	levels := strings.Split(rest, string(rune(n.Delim)))
	for i := range levels {
		for _, c := range n.escaped() {
			levels[i] = strings.ReplaceAll(levels[i], hexEscape(byte(c)), string(c))
		}
	}
	return strings.Join(levels, "/"), true
}

// encode is the way back.
func (n folderNames) encode(folder string) string {
	if folder == "INBOX" {
		return folder
	}
	if n.Delim == 0 {
		return n.Prefix + folder
	}
	levels := strings.Split(folder, "/")
	for i := range levels {
		for _, c := range n.escaped() {
			levels[i] = strings.ReplaceAll(levels[i], string(c), hexEscape(byte(c)))
		}
		if n.Delim != '/' {
			levels[i] = strings.ReplaceAll(levels[i], "=2F", "/")
		}
	}
	return n.Prefix + strings.Join(levels, string(rune(n.Delim)))
}

func hexEscape(c byte) string {
	const hex = "0123456789ABCDEF"
	return string([]byte{'=', hex[c>>4], hex[c&15]})
}

// recall finds out whether dots were escaped here in an earlier life: there are
// folders with the escape, and none with a dot.
func (n folderNames) recall(ctx context.Context, c *Conn) error {
	if n.noDots.Load() || n.Delim == 0 || n.Delim == '.' {
		return nil
	}
	some, err := c.List(ctx, ListOptions{Pattern: "*" + hexEscape('.') + "*"})
	if err != nil || len(some) == 0 {
		return err
	}
	return n.learn(ctx, c)
}

// learn notes that the server can't hold dots, unless a folder there has one.
func (n folderNames) learn(ctx context.Context, c *Conn) error {
	dotted, err := c.List(ctx, ListOptions{Pattern: "*.*"})
	if err == nil && len(dotted) == 0 {
		n.noDots.Store(true)
	}
	return err
}

// retry runs do, which makes a folder of this name, and once more with dots
// escaped if the server said that it can't hold the name.
func (n folderNames) retry(ctx context.Context, c *Conn, folder string, do func(name string) error) error {
	err := do(n.encode(folder))
	if !isRefusedName(err) || n.Delim == 0 || n.Delim == '.' || n.noDots.Load() || !strings.Contains(folder, ".") {
		return err
	}
	if failed := n.learn(ctx, c); failed != nil {
		return failed
	}
	if !n.noDots.Load() {
		return err
	}
	return do(n.encode(folder))
}

// isRefusedName tells whether the server can't hold a name: by CANNOT (RFC 5530), or by no code at all.
func isRefusedName(err error) bool {
	e, ok := asRefusal(err)
	return ok && (e.Status.Code.Name == imap.CodeCannot || e.Status.Code.IsZero())
}
