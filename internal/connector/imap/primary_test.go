package imapconn

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/mirror"
	"relais/test/dovecot"
)

func newPrimary(t *testing.T, s *dovecot.Server, ignore ...string) mirror.Primary {
	t.Helper()
	p := NewPrimary(NewPool(PoolConfig{Conn: Config{Addr: s.Addr, TLS: TLSNone, Ignore: ignore},
		SignIn: func(_ context.Context, login string) (Credentials, error) {
			return Credentials{Login: login, Master: dovecot.MasterUser, Secret: dovecot.MasterPassword}, nil
		}}))
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// What the merge engine relies on holds with every extension and with none.
func TestPrimaryOnDovecot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server dovecot.Config
		ignore []string
	}{
		"all":            {},
		"dots, a prefix": {server: dovecot.Config{Separator: ".", Prefix: "INBOX."}},
		"no QRESYNC":     {ignore: []string{"QRESYNC"}},
		"bare": {ignore: []string{"QRESYNC", "CONDSTORE", "UIDPLUS", "MOVE", "MULTIAPPEND", "LITERAL+", "LIST-EXTENDED", "LIST-STATUS",
			"SPECIAL-USE", "ESEARCH", "NAMESPACE", "IDLE"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t, c.server)
			s := must(newPrimary(t, server, c.ignore...).Open(t.Context(), ann))(t)
			walkPrimary(t, s)
			// Another life remembers how names were escaped.
			if err := s.CreateFolder(t.Context(), "v1.2/x", ""); err != nil {
				t.Error(err)
			}
			other := must(newPrimary(t, server, c.ignore...).Open(t.Context(), ann))(t)
			folders := must(other.Folders(t.Context()))(t)
			if !slices.ContainsFunc(folders, func(f mirror.Folder) bool { return f.Name == "v1.2/x" }) {
				t.Errorf("v1.2/x is not among %+v", folders)
			}
			if _, err := other.Scan(t.Context(), "v1.2/x", mirror.Token{}); err != nil {
				t.Error(err)
			}
			if err := other.Close(); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func walkPrimary(t *testing.T, s mirror.Session) {
	t.Helper()
	const folder = "Projets/Été a.b & co"
	for range 2 { // the second finds it there
		if err := s.CreateFolder(t.Context(), folder, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Subscribe(t.Context(), folder, true); err != nil {
		t.Error(err)
	}
	date := time.Date(2025, 5, 6, 7, 8, 9, 0, time.UTC)
	flags := mail.ParseFlags(`\Seen`, "$Forwarded")
	filed := must(s.Append(t.Context(), folder, []mirror.Append{
		{Body: message(1), Flags: flags, Date: date}, {Body: message(2), Date: date}, {Body: message(3), Date: date}}))(t)
	if s.Caps().UIDPlus && filed[2].UID != 3 {
		t.Errorf("filed %+v", filed)
	}
	folders := must(s.Folders(t.Context()))(t)
	at := slices.IndexFunc(folders, func(f mirror.Folder) bool { return f.Name == folder })
	if at < 0 || !folders[at].Subscribed || folders[at].Messages != 3 || folders[at].Token.UIDNext != 4 {
		t.Fatalf("folder %d of %+v", at, folders)
	}
	if slices.IndexFunc(folders, func(f mirror.Folder) bool { return f.Name == "Sent" }) < 0 {
		t.Errorf("no Sent in %+v", folders)
	}

	first := must(s.Scan(t.Context(), folder, mirror.Token{}))(t)
	if !first.Complete || len(first.Items) != 3 || !first.Items[0].Flags.Equal(flags) || !first.AnyWord || first.Token.Messages != 3 {
		t.Fatalf("first scan %+v", first)
	}
	var bodies [][]byte
	err := s.Fetch(t.Context(), folder, []uint32{1, 3, 99}, func(m mirror.Message) error {
		bodies = append(bodies, m.Body)
		if !m.Date.Equal(date) {
			t.Errorf("UID %d has the date %s", m.UID, m.Date)
		}
		return nil
	})
	if err != nil || len(bodies) != 2 || !bytes.Equal(bodies[1], message(3)) {
		t.Errorf("%d bodies, %v", len(bodies), err)
	}

	if err := s.SetFlags(t.Context(), folder, []uint32{2}, mail.ParseFlags(`\Flagged`, "a"), mail.ParseFlags(`\Seen`)); err != nil {
		t.Error(err)
	}
	move := func(to string) error {
		if s.Caps().Move {
			_, err := s.Move(t.Context(), folder, []uint32{1}, to)
			return err
		}
		_, err := s.Copy(t.Context(), folder, []uint32{1}, to)
		if err == nil {
			_, err = s.Delete(t.Context(), folder, []uint32{1})
		}
		return err
	}
	if err := move("Archive/2025"); err == nil {
		t.Error("moved to a folder that is not there")
	}
	if err := s.CreateFolder(t.Context(), "Archive/2025", ""); err != nil {
		t.Fatal(err)
	}
	if err := move("Archive/2025"); err != nil {
		t.Fatal(err)
	}
	pending, err := s.Delete(t.Context(), folder, []uint32{3})
	if err != nil || pending == s.Caps().UIDPlus {
		t.Errorf("delete: pending %v, %v", pending, err)
	}
	second := must(s.Scan(t.Context(), folder, first.Token))(t)
	left := map[uint32]mail.Flags{}
	for _, i := range second.Items {
		left[i.UID] = i.Flags
	}
	if !left[2].Has(mail.Flagged) || !left[2].HasKeyword("a") || second.Reset {
		t.Errorf("second scan %+v", second)
	}
	gone := func(uid uint32) bool {
		_, there := left[uid]
		return second.Complete && !there || !second.Complete && slices.Contains(second.Vanished, uid) || left[uid].Has(mail.Deleted)
	}
	if !gone(1) || !gone(3) || gone(2) {
		t.Errorf("second scan %+v", second)
	}
	refusedFolder(t, s)
	if err := s.RenameFolder(t.Context(), folder, "Autre/x"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := s.DeleteFolder(t.Context(), "Autre/x"); err != nil {
			t.Error(err)
		}
	}
}

func refusedFolder(t *testing.T, s mirror.Session) {
	t.Helper()
	_, err := s.Scan(t.Context(), "nowhere", mirror.Token{})
	refused, ok := errors.AsType[*mirror.Refused](err)
	if !ok || refused.Words == "" || fault.Retryable(err) {
		t.Errorf("a scan of nothing: %v", err)
	}
}

func TestFolderNamesComeBack(t *testing.T) {
	t.Parallel()
	var yes, no atomic.Bool
	yes.Store(true)
	for _, c := range []struct {
		names        folderNames
		ours, theirs string
	}{
		{folderNames{Namespace{"", '/'}, &no}, "a.b/c", "a.b/c"},
		{folderNames{Namespace{"", '/'}, &yes}, "a.b/c", "a=2Eb/c"},
		{folderNames{Namespace{"INBOX.", '.'}, &no}, "a.b/c", "INBOX.a=2Eb.c"},
		{folderNames{Namespace{"", '.'}, &yes}, "a=2Fb/c", "a/b.c"},
		{folderNames{Namespace{"", '\\'}, &yes}, `a.b\c/d`, `a=2Eb=5Cc\d`},
		{folderNames{Namespace{"", 0}, &yes}, "a.b/c", "a.b/c"},
		{folderNames{Namespace{"INBOX.", '.'}, &no}, "INBOX", "INBOX"},
	} {
		if got := c.names.encode(c.ours); got != c.theirs {
			t.Errorf("%s goes as %s, want %s", c.ours, got, c.theirs)
		}
		if got, ours := c.names.decode(c.theirs); got != c.ours || !ours {
			t.Errorf("%s comes as %s, want %s", c.theirs, got, c.ours)
		}
	}
	if name, ours := (folderNames{Namespace{"INBOX.", '.'}, &no}).decode("shared.x"); ours {
		t.Error("another namespace's folder came as", name)
	}
}
