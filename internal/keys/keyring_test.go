package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"relais/internal/fault"
)

// testKey is a key of 32 equal bytes.
func testKey(b byte) []byte { return bytes.Repeat([]byte{b}, keySize) }

func ring(t *testing.T, all ...[]byte) *Keyring {
	t.Helper()
	r, err := newKeyring(all)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func fileLine(key []byte) string {
	id := idOf(key)
	return hex.EncodeToString(id[:]) + " " + base64.StdEncoding.EncodeToString(key) + "\n"
}

func TestCreateThenLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	made, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", st.Mode(), err)
	}
	box, err := made.Seal("a", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if _, err := Create(path); !fault.Is(err, fault.Conflict) {
		t.Errorf("second Create: %v, want a conflict", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the second Create changed the file")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".keys-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	loaded, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := loaded.Open("a", box); err != nil || string(secret) != "secret" {
		t.Errorf("Open = %q, %v", secret, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); !fault.Is(err, fault.Denied) {
		t.Errorf("a file its group can read: %v, want denied", err)
	}
	if _, err := Load(path + ".none"); !fault.Is(err, fault.NotFound) {
		t.Errorf("no file: %v, want not found", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	good := fileLine(testKey(1))
	for _, c := range []struct {
		name, text string
		want       string // in the error; "" is success
	}{
		{"one", "relais-keys 1\n" + good, ""},
		{"two, comment, CR LF", "relais-keys 1\r\n# old\r\n\r\n" + good + fileLine(testKey(2)), ""},
		{"empty", "", "empty"},
		{"other file", "hello\n", "begin"},
		{"newer", "relais-keys 2\n" + good, `version "2"`},
		{"no key", "relais-keys 1\n", "0 keys"},
		{"wrong id", "relais-keys 1\n0000000000000000" + good[16:], "line 2"},
		{"short key", "relais-keys 1\n" + good + good[:17] + "AAAA\n", "line 3"},
		{"seventeen", "relais-keys 1\n" + strings.Repeat(good, 17), "17 keys"},
		{"endless line", "relais-keys 1\n" + strings.Repeat("x", 70000), "too long"},
	} {
		r, err := parse([]byte(c.text))
		switch {
		case c.want == "" && (err != nil || r.current != idOf(testKey(1))):
			t.Errorf("%s: %v, %v", c.name, r, err)
		case c.want != "" && (!fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want invalid with %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), strings.Fields(good)[1]) {
			t.Errorf("%s: the error tells the key", c.name)
		}
	}
}

func TestBoxOpensOnlyAsItWasSealed(t *testing.T) {
	t.Parallel()
	r := ring(t, testKey(1))
	box, err := r.Seal("primary/example.org", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if len(box) != len("secret")+37 {
		t.Errorf("box has %d bytes", len(box))
	}
	if _, err := r.Open("primary/example.net", box); !fault.Is(err, fault.Corrupt) {
		t.Errorf("another context: %v", err)
	}
	for i := range box {
		bad := bytes.Clone(box)
		bad[i] ^= 1
		if secret, err := r.Open("primary/example.org", bad); err == nil || secret != nil {
			t.Errorf("byte %d altered: opened", i)
		}
		if secret, err := r.Open("primary/example.org", box[:i]); err == nil || secret != nil {
			t.Errorf("cut at %d: opened", i)
		}
	}
	if _, err := ring(t, testKey(2)).Open("primary/example.org", box); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), r.ID()) {
		t.Errorf("without its key: %v, want the id that lacks", err)
	}
	if _, err := r.Seal("x", make([]byte, maxSecret+1)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("a large secret: %v", err)
	}
	again, _ := r.Seal("primary/example.org", []byte("secret"))
	if bytes.Equal(box, again) {
		t.Error("two boxes are equal: the nonce repeats")
	}
}

func TestRewrap(t *testing.T) {
	t.Parallel()
	old := ring(t, testKey(1))
	box, _ := old.Seal("a", []byte("secret"))
	both := ring(t, testKey(2), testKey(1))
	again, err := both.Rewrap("a", box)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := ring(t, testKey(2)).Open("a", again); err != nil || string(secret) != "secret" {
		t.Errorf("with the new key alone: %q, %v", secret, err)
	}
	if same, err := both.Rewrap("a", again); err != nil || !bytes.Equal(same, again) {
		t.Errorf("a box of the key in use was made anew: %v", err)
	}
}

func TestKeysAreNeverPrinted(t *testing.T) {
	t.Parallel()
	key := testKey('K')
	r := ring(t, key)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "r", r)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "r", r)
	out := log.String() + fmt.Sprintf("%v %+v %#v %s %x %d %q", r, r, r, r, r, r, r)
	for _, secret := range []string{"KKKK", "4b4b4b4b", base64.StdEncoding.EncodeToString(key)[:8], "75 75 75 75"} {
		if strings.Contains(out, secret) {
			t.Errorf("found %q in %s", secret, out)
		}
	}
	if !strings.Contains(out, r.ID()) {
		t.Errorf("the id is not in %s", out)
	}
}
