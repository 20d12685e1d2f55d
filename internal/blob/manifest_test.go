package blob

import (
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"relais/internal/fault"
	"relais/internal/mail"
)

// putSegments stores a record with the given manifest: what a writer that shares
// attachments will do.
func putSegments(t *testing.T, s *Packs, rows ledger, body []byte, segments ...segment) {
	t.Helper()
	h := mail.Sum(body)
	record, err := s.coder.seal(t.Context(), 1, h, int64(len(body)), segments)
	if err != nil {
		t.Fatal(err)
	}
	refs, err := s.append(t.Context(), [][]byte{record})
	if err != nil {
		t.Fatal(err)
	}
	rows[h] = refs[0]
}

func openWithRows(t *testing.T) (*Packs, ledger) {
	t.Helper()
	rows := ledger{}
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), Keys: oneKey{}, Locate: func(_ context.Context, _ mail.TenantID, h mail.Hash) (Ref, error) {
		if ref, ok := rows[h]; ok {
			return ref, nil
		}
		return Ref{}, fault.New(fault.NotFound, "no row")
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, rows
}

// wrap is base64 of part in lines, written without our own code.
func wrap(part []byte, line int, eol string, final bool) string {
	text := base64.StdEncoding.EncodeToString(part)
	var lines []string
	for line > 0 && len(text) > line {
		lines, text = append(lines, text[:line]), text[line:]
	}
	out := strings.Join(append(lines, text), eol)
	if final {
		out += eol
	}
	return out
}

func TestBodyOfParts(t *testing.T) {
	t.Parallel()
	s, rows := openWithRows(t)
	for n := range 200 {
		part := text(n, n)
		if err := rows.put(t.Context(), s, part); err != nil {
			t.Fatal(err)
		}
		ref := segment{kind: segRef, hash: mail.Sum(part), size: int64(n)}
		inline := segment{kind: segInline, inline: []byte("Content-Type: image/png\r\n\r\n")}
		want := string(inline.inline) + string(part) + string(inline.inline)
		segments := []segment{inline, ref, inline}
		for _, c := range []struct {
			line int
			end  byte
		}{{76, 0}, {76, endFinal}, {76, endLF}, {64, endLF | endFinal}, {0, 0}, {0, endFinal}, {4, 0}, {73, endFinal}, {1, endLF}} {
			eol := "\r\n"
			if c.end&endLF != 0 {
				eol = "\n"
			}
			coded := wrap(part, c.line, eol, c.end&endFinal != 0)
			segments = append(segments, segment{kind: segBase64, hash: mail.Sum(part), size: int64(len(coded)), line: c.line, end: c.end})
			want += coded
		}
		putSegments(t, s, rows, []byte(want), segments...)
		h := mail.Sum([]byte(want))
		if got, err := s.Read(t.Context(), 1, h, rows[h]); err != nil || string(got) != want {
			t.Fatalf("part of %d bytes: %v\n%q\n%q", n, err, got, want)
		}
	}
	rows.wantNoDamage(t, s)
}

func TestReferencesAreBounded(t *testing.T) {
	t.Parallel()
	s, rows := openWithRows(t)
	leaf := text(1, 300)
	if err := rows.put(t.Context(), s, leaf); err != nil {
		t.Fatal(err)
	}
	// nested is a body of n levels of references over the leaf.
	nested := func(n int) []byte {
		body := leaf
		for range n {
			below := body
			body = append([]byte("x"), below...)
			putSegments(t, s, rows, body, segment{kind: segInline, inline: []byte("x")}, segment{kind: segRef, hash: mail.Sum(below), size: int64(len(below))})
		}
		return body
	}
	read := func(body []byte) error {
		h := mail.Sum(body)
		got, err := s.Read(t.Context(), 1, h, rows[h])
		if err == nil && !bytes.Equal(got, body) {
			t.Error("another body was read")
		}
		return err
	}
	if err := read(nested(maxDepth)); err != nil {
		t.Errorf("%d deep: %v", maxDepth, err)
	}
	if err := read(nested(maxDepth + 1)); !fault.Is(err, fault.Corrupt) {
		t.Errorf("%d deep: %v, want corrupt", maxDepth+1, err)
	}

	circle := []byte("a body that claims to be its own part")
	putSegments(t, s, rows, circle, segment{kind: segRef, hash: mail.Sum(circle), size: int64(len(circle))})
	if err := read(circle); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a circle: %v, want corrupt", err)
	}

	// Empty parts could multiply without making the body any larger.
	empty := []byte{}
	if err := rows.put(t.Context(), s, empty); err != nil {
		t.Fatal(err)
	}
	many := make([]segment, 100)
	for i := range many {
		many[i] = segment{kind: segRef, hash: mail.Sum(empty)}
	}
	level := []byte("1")
	putSegments(t, s, rows, level, append(many, segment{kind: segInline, inline: level})...)
	for i := range many {
		many[i] = segment{kind: segRef, hash: mail.Sum(level), size: 1}
	}
	wide := bytes.Repeat([]byte("1"), 100)
	putSegments(t, s, rows, wide, many...)
	if err := read(wide); !fault.Is(err, fault.Corrupt) {
		t.Errorf("10,000 references: %v, want corrupt", err)
	}

	for name, seg := range map[string]segment{
		"no such part":      {kind: segRef, hash: mail.Hash{1}, size: 3},
		"part of that size": {kind: segRef, hash: mail.Sum(leaf), size: 3},
		"base64 size":       {kind: segBase64, hash: mail.Sum(leaf), size: 3, line: 76},
	} {
		body := []byte("abc")
		putSegments(t, s, rows, body, seg)
		if err := read(body); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: %v, want corrupt", name, err)
		}
	}
	putSegments(t, s, rows, []byte("abc"), segment{kind: segInline, inline: []byte("abd")})
	if err := read([]byte("abc")); !fault.Is(err, fault.Corrupt) {
		t.Errorf("another content under the hash: %v, want corrupt", err)
	}
}

func TestParseManifestRefuses(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("h", 32)
	for name, c := range map[string]struct {
		manifest string
		size     int64
	}{
		"nothing":              {"", 0},
		"unknown kind":         {"\x01\x03", 0},
		"size too small":       {"\x01\x00\x03abc", 2},
		"size too large":       {"\x01\x00\x03abc", 4},
		"rest":                 {"\x01\x00\x03abcd", 3},
		"cut bytes":            {"\x01\x00\x03ab", 3},
		"cut hash":             {"\x01\x01hhh", 3},
		"cut size":             {"\x01\x01" + hash, 3},
		"cut base64":           {"\x01\x02" + hash + "\x03\x4c", 3},
		"unknown end":          {"\x01\x02" + hash + "\x03\x4c\x04", 3},
		"fewer than announced": {"\x02\x00\x03abc", 3},
		"too many":             {"\x81\x20", 0},
		"endless varint":       {strings.Repeat("\xff", 20), 0},
		"inline over 1 GiB":    {"\x01\x00\xff\xff\xff\xff\x0f", 1 << 32},
		"line too long":        {"\x01\x02" + hash + "\x03\x80\x80\x04\x00", 3},
	} {
		if segs, err := parseManifest([]byte(c.manifest), c.size); !fault.Is(err, fault.Corrupt) || segs != nil {
			t.Errorf("%s: %v, %v; want corrupt", name, segs, err)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add(appendManifest(nil, []segment{{kind: segInline, inline: []byte("abc")}}), int64(3))
	f.Add(appendManifest(nil, []segment{{kind: segRef, size: 2}, {kind: segBase64, size: 4, line: 76, end: endLF | endFinal}}), int64(6))
	f.Fuzz(func(t *testing.T, manifest []byte, size int64) {
		segs, err := parseManifest(manifest, size)
		if err != nil {
			return
		}
		again, err := parseManifest(appendManifest(nil, segs), size)
		if err != nil || len(again) != len(segs) {
			t.Fatalf("what was read does not read again: %v", err)
		}
	})
}

func FuzzParseHeader(f *testing.F) {
	h := header{tenant: 1, size: 3, payload: 20}
	record := make([]byte, headerSize+20)
	h.put(record)
	finish(record)
	f.Add(record)
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseHeader(b); err == nil && (h.size < 0 || h.size > MaxBody || h.payload < tagSize || h.payload > maxPayload) {
			t.Fatalf("%+v", h)
		}
	})
}

func TestCompressionOnlyWhereItHelps(t *testing.T) {
	t.Parallel()
	c, err := newCoder(oneKey{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	noise := make([]byte, 10_000)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		noise[i] = byte(x >> 11)
	}
	for name, tc := range map[string]struct {
		body       []byte
		compressed bool
	}{"text": {text(1, 10_000), true}, "noise": {noise, false}, "empty": {nil, false}} {
		record, err := c.seal(t.Context(), 1, mail.Sum(tc.body), int64(len(tc.body)), []segment{{kind: segInline, inline: tc.body}})
		if err != nil {
			t.Fatal(err)
		}
		h, err := parseHeader(record)
		if err != nil || (h.flags&flagZstd != 0) != tc.compressed || len(record) > len(tc.body)+headerSize+tagSize+16 {
			t.Errorf("%s: flags %d, %d bytes, %v", name, h.flags, len(record), err)
		}
		if len(tc.body) > 0 && bytes.Contains(record, tc.body[:20]) {
			t.Errorf("%s: the body is legible in the record", name)
		}
	}
}
