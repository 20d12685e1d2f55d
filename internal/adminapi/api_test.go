package adminapi_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"relais/internal/adminapi"
	"relais/internal/blob"
	"relais/internal/clock"
	"relais/internal/db/sqlite"
	"relais/internal/fault"
	"relais/internal/keys"
	"relais/internal/record"
)

// serve runs the API over a real record on the socket of a data directory.
func serve(t *testing.T) (dir string, store *record.Store) {
	t.Helper()
	dir = t.TempDir()
	engine, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "relais.db")})
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := keys.Create(filepath.Join(dir, "kek"))
	if err != nil {
		t.Fatal(err)
	}
	ring := keys.NewRing(keyring, record.TenantKeysIn(engine))
	packs, err := blob.Open(t.Context(), blob.Config{Dir: filepath.Join(dir, "packs"), Keys: ring, Locate: record.LocateIn(engine)})
	if err != nil {
		t.Fatal(err)
	}
	store = record.Open(record.Config{Engine: engine, Bodies: packs})
	api := adminapi.New(adminapi.Config{
		Version: "test", Hostname: "mx.test", Store: store, Keys: keyring, Forget: ring.Forget, ProbeEvery: time.Second,
		Clock: clock.System{}, Log: slog.New(slog.DiscardHandler),
	})
	l, err := adminapi.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- api.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = l.Close()
		_ = packs.Close()
		_ = engine.Close()
	})
	return dir, store
}

func TestSocketIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	dir, _ := serve(t)
	text, err := os.ReadFile(filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(strings.TrimSpace(string(text)))
	if err != nil || st.Mode().Perm() != 0o600 || st.Mode()&os.ModeSocket == 0 {
		t.Errorf("socket: %v, %v", st.Mode(), err)
	}
}

func TestWritesAreAudited(t *testing.T) {
	t.Parallel()
	dir, store := serve(t)
	c := adminapi.NewClient(dir)
	do := func(method, path string, in any) error { return c.Do(t.Context(), method, path, in, nil) }
	for _, w := range []struct {
		method, path string
		in           any
	}{
		{http.MethodPost, "/orgs", adminapi.NewOrg{Org: "exemple"}},
		{http.MethodPost, "/domains", adminapi.NewDomain{Domain: "exemple.test", Org: "exemple", Topology: "inpath"}},
		{http.MethodPut, "/domains/exemple.test/primary", adminapi.NewPrimary{IMAP: "h:1", IMAPTLS: "none", SMTP: "h:2", SMTPTLS: "none", Master: "m", Secret: "geheim"}},
		{http.MethodPut, "/groups/all@exemple.test", adminapi.NewGroup{Members: []string{}}},
		{http.MethodDelete, "/groups/all@exemple.test", nil},
	} {
		if err := do(w.method, w.path, w.in); err != nil {
			t.Fatalf("%s %s: %v", w.method, w.path, err)
		}
	}
	// What fails leaves no entry.
	if err := do(http.MethodPost, "/orgs", adminapi.NewOrg{Org: "exemple"}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second time: %v", err)
	}
	var log adminapi.Audit
	if err := c.Do(t.Context(), http.MethodGet, "/audit", nil, &log); err != nil {
		t.Fatal(err)
	}
	var acts []string
	for _, e := range log.Entries {
		acts = append(acts, e.Action+" "+e.Object)
		if !strings.HasPrefix(e.Actor, "uid:") || strings.Contains(string(e.Detail), "geheim") {
			t.Errorf("entry %+v", e)
		}
	}
	want := "org.add exemple, domain.add exemple.test, primary.set exemple.test, group.set all@exemple.test, group.remove all@exemple.test"
	if got := strings.Join(acts, ", "); got != want {
		t.Errorf("audit:\n%s\nwant\n%s", got, want)
	}
	err := store.View(t.Context(), func(ctx context.Context, tx *record.Tx) error {
		_, _, err := tx.Audit.Verify(ctx)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestProblemsAndDescription(t *testing.T) {
	t.Parallel()
	dir, _ := serve(t)
	web := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return adminapi.Dial(ctx, dir) }}}
	get := func(path string) (int, string, map[string]any) {
		t.Helper()
		resp, err := web.Get("http://relais" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatalf("%s: %v\n%s", path, err, text)
		}
		return resp.StatusCode, resp.Header.Get("Content-Type"), v
	}
	code, kind, p := get("/api/v1/orgs/nobody")
	if code != http.StatusNotFound || kind != "application/problem+json" || p["type"] != "urn:relais:fault:not-found" || p["detail"] != "no such organisation" {
		t.Errorf("%d %s %v", code, kind, p)
	}
	_, _, doc := get("/api/v1/openapi.json")
	if doc["openapi"] != "3.1.0" {
		t.Errorf("description: %v", doc["openapi"])
	}
	if _, _, list := get("/api/v1/orgs"); list["$schema"] != nil {
		t.Error("answers carry a schema link")
	}
}

func TestFirstUseTrustsTheKeyThatIsShown(t *testing.T) {
	t.Parallel()
	dir, store := serve(t)
	c := adminapi.NewClient(dir)
	if err := c.Do(t.Context(), http.MethodPost, "/orgs", adminapi.NewOrg{Org: "exemple"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), http.MethodPost, "/domains", adminapi.NewDomain{Domain: "exemple.test", Org: "exemple", Topology: "inpath"}, nil); err != nil {
		t.Fatal(err)
	}
	imap, pinIMAP := startTLSServer(t, []string{"* OK here\r\n"}, "a STARTTLS\r\n", "* odd\r\na OK go\r\n")
	smtp, pinSMTP := startTLSServer(t, []string{"220-mx\r\n220 here\r\n", "EHLO mx.test\r\n", "250-mx\r\n250 STARTTLS\r\n"}, "STARTTLS\r\n", "220 go\r\n")
	var p adminapi.Primary
	err := c.Do(t.Context(), http.MethodPut, "/domains/exemple.test/primary",
		adminapi.NewPrimary{IMAP: imap, IMAPTLS: "starttls", SMTP: smtp, SMTPTLS: "starttls", Master: "m", Secret: "s"}, &p)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Trusted || p.PinIMAP != pinIMAP || p.PinSMTP != pinSMTP {
		t.Errorf("%+v, want pins %s and %s", p, pinIMAP, pinSMTP)
	}
	err = store.View(t.Context(), func(ctx context.Context, tx *record.Tx) error {
		d, err := tx.Directory.Domain(ctx, "exemple.test")
		if err != nil {
			return err
		}
		stored, err := tx.Directory.Primary(ctx, d.ID)
		if stored.PinIMAP != pinIMAP || strings.Contains(string(stored.SecretSealed), "s\x00") {
			t.Errorf("stored %+v", stored)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
