package dovecot_test

import (
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"relais/test/dovecot"
)

const note = "Subject: note\r\n\r\nbody\r\n"

func TestServerLifeCycle(t *testing.T) {
	t.Parallel()
	for _, storage := range []string{"maildir", "sdbox", "mdbox"} {
		t.Run(storage, func(t *testing.T) {
			t.Parallel()
			const login = "ann@example.test"
			s := dovecot.Start(t, dovecot.Config{Users: []dovecot.User{{Login: login, Password: "secret"}}, Storage: storage, TLS: true})
			if n := count(t, s.Client(t, login, "secret")); n != 0 {
				t.Fatalf("a new account holds %d messages", n)
			}
			c := s.Client(t, login+"*"+dovecot.MasterUser, dovecot.MasterPassword)
			app := c.Append("INBOX", int64(len(note)), nil)
			if _, err := app.Write([]byte(note)); err != nil {
				t.Fatal(err)
			}
			if err := app.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := app.Wait(); err != nil {
				t.Fatal(err)
			}

			s.Kill()
			s.Run()
			if n := count(t, s.Client(t, login, "secret")); n != 1 {
				t.Errorf("%d messages after SIGKILL, want 1", n)
			}
			s.Stop()
			s.Wipe()
			s.Run()
			if n := count(t, s.Client(t, login, "secret")); n != 0 {
				t.Errorf("%d messages after a wipe, want 0", n)
			}
			over, err := imapclient.DialTLS(s.TLSAddr, &imapclient.Options{TLSConfig: s.TLSConfig()})
			if err != nil {
				t.Fatalf("TLS: %v", err)
			}
			defer func() { _ = over.Close() }()
			if err := over.Login(login, "secret").Wait(); err != nil {
				t.Errorf("sign in over TLS: %v", err)
			}
		})
	}
}

func count(t *testing.T, c *imapclient.Client) uint32 {
	t.Helper()
	data, err := c.Status("INBOX", &imap.StatusOptions{NumMessages: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return *data.NumMessages
}
