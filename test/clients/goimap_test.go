package clients_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"relais/internal/demo/traffic"
)

// TestGoIMAP goes through the commands of go-imap's client.
func TestGoIMAP(t *testing.T) {
	t.Parallel()
	o := newOffice(t, 14)
	p := o.company.Staff[0]

	t.Run("tls", func(t *testing.T) { signInOverTLS(t, o, p) })
	d := o.desk(0)
	t.Run("folders", func(t *testing.T) { folders(t, client(t, d, nil)) })
	t.Run("messages", func(t *testing.T) { messages(t, client(t, d, nil), d.writer, p) })
	t.Run("idle", func(t *testing.T) { idle(t, o) })
}

func TestGoIMAPControl(t *testing.T) {
	t.Parallel()
	d := control(t)
	folders(t, client(t, d, nil))
	messages(t, client(t, d, nil), d.writer, d.person)
}

func signInOverTLS(t *testing.T, o office, p traffic.Person) {
	pem, err := os.ReadFile(filepath.Join(o.node.Dir, "keys", "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	options := &imapclient.Options{TLSConfig: &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}}
	for name, dial := range map[string]func() (*imapclient.Client, error){
		"implicit": func() (*imapclient.Client, error) { return imapclient.DialTLS(o.node.IMAPS(), options) },
		"starttls": func() (*imapclient.Client, error) { return imapclient.DialStartTLS(o.node.IMAP(), options) },
	} {
		c, err := dial()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := c.Login(p.Email, "wrong").Wait(); err == nil {
			t.Errorf("%s: a wrong password is taken", name)
		}
		if err := c.Login(p.Email, p.Password).Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = c.Close()
	}
}

func folders(t *testing.T, c *imapclient.Client) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Create("Été", nil).Wait())
	must(c.Create("Été/Réunions & Cie", nil).Wait())
	must(c.Subscribe("Été/Réunions & Cie").Wait())
	must(c.Rename("Été", "Hiver", nil).Wait())
	list, err := c.List("", "*", &imap.ListOptions{ReturnSpecialUse: true, ReturnStatus: &imap.StatusOptions{NumMessages: true, UIDNext: true}}).Collect()
	must(err)
	roles := map[imap.MailboxAttr]string{}
	var names []string
	for _, l := range list {
		names = append(names, l.Mailbox)
		for _, a := range l.Attrs {
			roles[a] = l.Mailbox
		}
		if l.Status == nil {
			t.Errorf("LIST-STATUS says nothing of %s", l.Mailbox)
		}
	}
	if !slices.Contains(names, "Hiver/Réunions & Cie") || slices.Contains(names, "Été/Réunions & Cie") {
		t.Errorf("after a rename the folders are %q", names)
	}
	for _, role := range []imap.MailboxAttr{imap.MailboxAttrSent, imap.MailboxAttrDrafts, imap.MailboxAttrTrash, imap.MailboxAttrJunk} {
		if roles[role] == "" {
			t.Errorf("no folder has the role %s", role)
		}
	}
	must(c.Delete("Hiver/Réunions & Cie").Wait())
	must(c.Delete("Hiver").Wait())
}

func messages(t *testing.T, c *imapclient.Client, w *traffic.Writer, p traffic.Person) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Create("Work", nil).Wait())
	date := time.Date(2024, 2, 29, 12, 0, 1, 0, time.FixedZone("", 5400))
	m := w.Write(w.Company.Outside[0], []traffic.Person{p}, date)
	app := c.Append("Work", int64(len(m.Raw)), &imap.AppendOptions{Time: date, Flags: []imap.Flag{imap.FlagFlagged, "Projet"}})
	_, err := app.Write(m.Raw)
	must(err)
	must(app.Close())
	appended, err := app.Wait()
	must(err)
	if appended.UID == 0 || appended.UIDValidity == 0 {
		t.Errorf("APPENDUID is %+v", appended)
	}
	_, err = c.Select("Work", nil).Wait()
	must(err)
	found, err := c.UIDSearch(&imap.SearchCriteria{Flag: []imap.Flag{imap.FlagFlagged, "Projet"}, NotFlag: []imap.Flag{imap.FlagSeen}}, nil).Wait()
	must(err)
	if uids := found.AllUIDs(); len(uids) != 1 || uids[0] != appended.UID {
		t.Errorf("SEARCH gives %v, want %d", uids, appended.UID)
	}
	one := imap.UIDSetNum(appended.UID)
	fetched, err := c.Fetch(one, &imap.FetchOptions{
		Envelope: true, InternalDate: true, RFC822Size: true, Flags: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		BodySection: []*imap.FetchItemBodySection{{}},
	}).Collect()
	must(err)
	if len(fetched) != 1 {
		t.Fatalf("FETCH gives %d messages", len(fetched))
	}
	f := fetched[0]
	if string(f.BodySection[0].Bytes) != string(m.Raw) || f.RFC822Size != int64(len(m.Raw)) {
		t.Errorf("FETCH gives %d bytes and size %d, want the %d appended", len(f.BodySection[0].Bytes), f.RFC822Size, len(m.Raw))
	}
	if !f.InternalDate.Equal(date) {
		t.Errorf("INTERNALDATE is %s, want %s", f.InternalDate, date)
	}
	if "<"+f.Envelope.MessageID+">" != m.ID {
		t.Errorf("ENVELOPE has the Message-ID %s, want %s", f.Envelope.MessageID, m.ID)
	}
	copied, err := c.Copy(one, "Junk").Wait()
	must(err)
	if len(copied.DestUIDs) == 0 {
		t.Error("COPYUID is missing")
	}
	_, err = c.Move(one, "Trash").Wait()
	must(err)
	if left, err := c.Status("Work", &imap.StatusOptions{NumMessages: true}).Wait(); err != nil || *left.NumMessages != 0 {
		t.Errorf("after MOVE: %+v, %v", left, err)
	}
}

// idle expects to hear of a new message without asking (RFC 2177).
func idle(t *testing.T, o office) {
	exists := make(chan uint32, 100)
	c := client(t, o.desk(1), &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				exists <- *data.NumMessages
			}
		},
	}})
	box, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	sender := &traffic.Sender{Addr: o.node.MX(), Helo: "outside.test"}
	defer sender.Close()
	if err := sender.Deliver(o.writer.Write(o.company.Outside[0], []traffic.Person{o.company.Staff[1]}, time.Now()), time.Minute); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-exists:
		if n != box.NumMessages+1 {
			t.Errorf("EXISTS says %d, want %d", n, box.NumMessages+1)
		}
	case <-time.After(10 * time.Second):
		t.Error("IDLE says nothing within 10 s of a new message")
	}
	if err := waiting.Close(); err != nil {
		t.Error(err)
	}
}
