package clients_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"relais/internal/demo/traffic"
	"relais/internal/demo/walker"
)

const mbsyncrc = `IMAPAccount relais
Host %s
Port %s
User %s
Pass "%s"
SSLType None
AuthMechs LOGIN

IMAPStore far
Account relais

MaildirStore near
Path %[5]s/
Inbox %[5]s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
CopyArrivalDate yes
SyncState *
`

// TestMbsyncBothWays mirrors an account into a Maildir, changes both sides, and expects them to meet.
func TestMbsyncBothWays(t *testing.T) {
	t.Parallel()
	bothWays(t, newOffice(t, 11).desk(0))
}

func TestMbsyncControl(t *testing.T) {
	t.Parallel()
	bothWays(t, control(t))
}

func bothWays(t *testing.T, d desk) {
	p := d.person
	dir := t.TempDir()
	maildir := filepath.Join(dir, "mail")
	if err := os.Mkdir(maildir, 0o700); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(d.imap)
	rc := write(t, dir, "mbsyncrc", fmt.Sprintf(mbsyncrc, host, port, p.Email, p.Password, maildir))
	sync := func() { t.Helper(); run(t, dir, "mbsync", "-c", rc, "-a") }

	sync()
	meet(t, d, maildir)

	// Near side: one new message, one flag, one deletion, a new folder.
	m := d.writer.Write(d.writer.Company.Outside[0], []traffic.Person{p}, time.Now())
	local := string(bytes.ReplaceAll(m.Raw, []byte("\r\n"), []byte("\n")))
	write(t, maildir, "INBOX/cur/1.new.host:2,S", local)
	fresh := encodeUTF7("Dossiers reçus")
	write(t, maildir, fresh+"/cur/2.new.host:2,F", local)
	for _, sub := range []string{"new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(maildir, fresh, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	changed := files(t, maildir, "INBOX")
	rename(t, changed[0], "FS")
	rename(t, changed[1], "ST")
	sync()
	meet(t, d, maildir)
	if n := d.holds(t, "Dossiers reçus", walker.Title(m.Raw)); n != 1 {
		t.Errorf("%d copies in the new folder, want 1", n)
	}

	// Far side: the same through IMAP.
	c := client(t, d, nil)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	one := imap.SeqSetNum(1)
	if err := c.Store(one, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagAnswered}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Move(imap.SeqSetNum(2), "Junk").Wait(); err != nil {
		t.Fatal(err)
	}
	sync()
	meet(t, d, maildir)
}

// meet expects the Maildir and the account to hold the same messages in the same folders with the same flags.
func meet(t *testing.T, d desk, maildir string) {
	t.Helper()
	far, err := walker.WalkHashing(d.imap, d.person.Email, d.person.Password, withoutTUID)
	if err != nil {
		t.Fatal(err)
	}
	near := walker.Account{Folders: far.Folders}
	for i, item := range far.Items {
		// A Maildir knows neither keywords nor a time zone.
		var kept []string
		for f := range strings.FieldsSeq(item.Flags) {
			if strings.HasPrefix(f, `\`) {
				kept = append(kept, f)
			}
		}
		far.Items[i].Flags = strings.Join(kept, " ")
		far.Items[i].Raw, far.Items[i].Date = [32]byte{}, time.Time{}
	}
	for _, folder := range far.Folders {
		for _, path := range files(t, maildir, encodeUTF7(folder)) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			raw = bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
			near.Items = append(near.Items, walker.Item{Folder: folder, Hash: withoutTUID(raw), Flags: flagsOf(path), Title: walker.Title(raw)})
		}
	}
	if len(near.Items) == 0 {
		t.Fatal("mbsync fetched nothing")
	}
	if d := walker.Compare(far, near); !d.Empty() {
		t.Fatalf("the Maildir differs from the account:\n%s", d)
	}
}

// withoutTUID leaves out the line by which mbsync recognises what it stored, on whichever side that was.
func withoutTUID(body []byte) [sha256.Size]byte {
	if i := bytes.Index(body, []byte("\r\nX-TUID: ")); i >= 0 {
		end := i + 2 + bytes.IndexByte(body[i+2:], '\n') + 1
		body = append(bytes.Clone(body[:i+2]), body[end:]...)
	}
	return walker.Hash(body)
}

func files(t *testing.T, maildir, folder string) []string {
	t.Helper()
	var out []string
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(maildir, folder, sub))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			out = append(out, filepath.Join(maildir, folder, sub, e.Name()))
		}
	}
	return out
}

// flagsOf reads the letters after ":2," of a file in a Maildir.
func flagsOf(path string) string {
	_, letters, _ := strings.Cut(filepath.Base(path), ":2,")
	var flags []imap.Flag
	for _, l := range letters {
		switch l {
		case 'S':
			flags = append(flags, imap.FlagSeen)
		case 'R':
			flags = append(flags, imap.FlagAnswered)
		case 'F':
			flags = append(flags, imap.FlagFlagged)
		case 'D':
			flags = append(flags, imap.FlagDraft)
		case 'T':
			flags = append(flags, imap.FlagDeleted)
		}
	}
	return walker.Flags(flags)
}

func rename(t *testing.T, path, letters string) {
	t.Helper()
	name, _, _ := strings.Cut(filepath.Base(path), ":2,")
	to := filepath.Join(filepath.Dir(filepath.Dir(path)), "cur", name+":2,"+letters)
	if err := os.Rename(path, to); err != nil {
		t.Fatal(err)
	}
}
