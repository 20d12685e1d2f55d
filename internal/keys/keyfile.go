package keys

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"relais/internal/fault"
)

const (
	fileTitle   = "relais-keys"
	fileVersion = "1"
	maxKeys     = 16
	maxFile     = 64 << 10 // bytes: sixteen keys and long comments
)

// Create makes a key file at path with one new key, mode 0600, durable when it
// returns. fault.Conflict when the file exists: a key file is never overwritten,
// since without it the store is lost.
func Create(path string) (*Keyring, error) {
	key := make([]byte, keySize)
	rand.Read(key) // never fails (crypto/rand)
	r, err := newKeyring([][]byte{key})
	if err != nil {
		return nil, err
	}
	id := idOf(key)
	text := fmt.Sprintf("%s %s\n%s %s\n", fileTitle, fileVersion, hex.EncodeToString(id[:]), base64.StdEncoding.EncodeToString(key))
	if err := writeOnce(path, []byte(text)); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, fault.Wrap(err, fault.Conflict, "the key file exists already")
		}
		return nil, fmt.Errorf("create key file: %w", err)
	}
	return r, nil
}

// Load reads the key file at path. fault.NotFound without a file,
// fault.Denied when others than its owner have any right on it, fault.Invalid when
// its text is not what docs/formats/keys.md says.
func Load(path string) (*Keyring, error) {
	f, err := os.Open(path)
	if err != nil {
		code := fault.Internal
		if errors.Is(err, fs.ErrNotExist) {
			code = fault.NotFound
		}
		return nil, fault.Wrap(err, code, "the key file cannot be opened")
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Denied, "the key file can be read by others (mode %04o): set it to 0600", st.Mode().Perm())
	}
	if st.Size() > maxFile {
		return nil, fault.New(fault.Invalid, "the key file is longer than %d bytes", maxFile)
	}
	text := make([]byte, st.Size())
	if _, err := f.ReadAt(text, 0); err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	return parse(text)
}

// parse reads the text of a key file. Its errors name lines, never their content.
func parse(text []byte) (*Keyring, error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	if !lines.Scan() {
		return nil, fault.New(fault.Invalid, "the key file is empty")
	}
	title, version, _ := strings.Cut(strings.TrimRight(lines.Text(), " \r"), " ")
	if title != fileTitle {
		return nil, fault.New(fault.Invalid, "the key file does not begin with %q", fileTitle)
	}
	if version != fileVersion {
		return nil, fault.New(fault.Invalid, "the key file has format version %.20q, this release reads version %s", version, fileVersion)
	}
	var all [][]byte
	for n := 2; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, encoded, _ := strings.Cut(line, " ")
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(key) != keySize {
			return nil, fault.New(fault.Invalid, "line %d of the key file: want an id and %d bytes in base64", n, keySize)
		}
		if want := idOf(key); hex.EncodeToString(want[:]) != id {
			return nil, fault.New(fault.Invalid, "line %d of the key file: the key is not the one its id names", n)
		}
		all = append(all, key)
	}
	if lines.Err() != nil {
		return nil, fault.New(fault.Invalid, "the key file has a line too long to read")
	}
	return newKeyring(all)
}

// writeOnce writes a file that must not exist yet, whole or not at all.
func writeOnce(path string, text []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".keys-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
