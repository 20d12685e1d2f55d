package smtp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// double grows a body without bound.
func double(b []byte) ([]byte, error) {
	grown := make([]byte, len(b), 2*cap(b)+minSpare)
	copy(grown, b)
	return grown, nil
}

// sources reads s whole, byte by byte, and in halves of what is asked for.
func sources(s string) map[string]io.Reader {
	return map[string]io.Reader{
		"whole": strings.NewReader(s),
		"bytes": iotest.OneByteReader(strings.NewReader(s)),
		"half":  iotest.HalfReader(strings.NewReader(s)),
	}
}

func TestReadDataKeepsWhatTheClientMeant(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 70_000)
	for _, tc := range []struct{ wire, want string }{
		{".\r\n", ""},
		{"a\r\n.\r\n", "a\r\n"},
		{"\r\n.\r\n", "\r\n"},
		{"..\r\n.\r\n", ".\r\n"},
		{"...\r\n.\r\n", "..\r\n"},
		{".a\r\n.\r\n", "a\r\n"},
		{"a.\r\n..b\r\n.\r\n", "a.\r\n.b\r\n"},
		{"a\r\n..\r\n..\r\n\r\n.\r\n", "a\r\n.\r\n.\r\n\r\n"},
		{"a\r\n. \r\n.\r\n", "a\r\n \r\n"},
		{"caf\xc3\xa9 \xff\r\n.\r\n", "caf\xc3\xa9 \xff\r\n"},
		{long + "\r\n.\r\n", long + "\r\n"},
		{strings.Repeat("line\r\n..dot\r\n", 9000) + ".\r\n", strings.Repeat("line\r\n.dot\r\n", 9000)},
	} {
		for name, src := range sources(tc.wire + "QUIT\r\n") {
			r := NewReader(src)
			got, err := r.ReadData(nil, double, 0)
			if err != nil || string(got) != tc.want {
				t.Fatalf("%s of %.40q: %.40q (%d bytes), %v", name, tc.wire, got, len(got), err)
			}
			if line, err := r.ReadLine(512); err != nil || string(line) != "QUIT" {
				t.Fatalf("%s of %.40q: what follows is %q, %v", name, tc.wire, line, err)
			}
		}
	}
}

func TestNothingButCRLFDotCRLFEndsAMessage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		wire string
		want error
	}{
		{"a\n.\n", BareLF}, {"a\n.\r\n", BareLF}, {"a\r\n.\n", BareLF}, {".\n", BareLF}, {"\n", BareLF},
		{"a\r.\r\n", BareCR}, {"a\r\n.\r", io.ErrUnexpectedEOF}, {"a\r\n.\rb", BareCR}, {"a\r\n.\r\r\n", BareCR},
		{"a\r\r\n.\r\n", BareCR}, {"a\r.\r", BareCR}, {"\r\r\n", BareCR}, {"a\rb\r\n", BareCR},
		{"a\r\n\x00.\r\n", NUL}, {"a\r\n.\x00\r\n", NUL}, {"a\x00\r\n", NUL},
		{"a\r\n", io.ErrUnexpectedEOF}, {"", io.ErrUnexpectedEOF}, {"a\r\n.", io.ErrUnexpectedEOF},
	} {
		for name, src := range sources(tc.wire) {
			if got, err := NewReader(src).ReadData(nil, double, 0); !errors.Is(err, tc.want) {
				t.Errorf("%s of %q: %q, %v, want %v", name, tc.wire, got, err, tc.want)
			}
		}
	}
}

func TestReadDataGoesOnAfterARefusedMessage(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	limit := func(b []byte) ([]byte, error) {
		if len(b) > 5000 {
			return nil, full
		}
		return double(b)
	}
	wire := strings.Repeat("0123456789\r\n", 2000) + "..\r\n.\r\nNOOP\r\n"
	for name, src := range sources(wire) {
		r := NewReader(src)
		if _, err := r.ReadData(nil, limit, 1<<20); !errors.Is(err, full) {
			t.Fatalf("%s: %v", name, err)
		}
		if line, err := r.ReadLine(512); err != nil || string(line) != "NOOP" {
			t.Fatalf("%s: what follows is %q, %v", name, line, err)
		}
	}
	if _, err := NewReader(strings.NewReader(wire)).ReadData(nil, limit, 1000); !errors.Is(err, ErrDiscardLimit) {
		t.Fatalf("beyond the bound: %v", err)
	}
	bad := strings.Repeat("0123456789\r\n", 2000) + "\n.\n"
	if _, err := NewReader(strings.NewReader(bad)).ReadData(nil, limit, 1<<20); !errors.Is(err, BareLF) {
		t.Fatalf("a line fault in what is discarded: %v", err)
	}
}

func TestDotWriterIsWhatReadDataReads(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ body, wire string }{
		{"", ".\r\n"},
		{"a\r\n", "a\r\n.\r\n"},
		{"a", "a\r\n.\r\n"},
		{".\r\n", "..\r\n.\r\n"},
		{"..a\r\n.b", "...a\r\n..b\r\n.\r\n"},
	} {
		var whole, bytewise bytes.Buffer
		w, b := NewDotWriter(&whole), NewDotWriter(&bytewise)
		if _, err := io.WriteString(w, tc.body); err != nil {
			t.Fatal(err)
		}
		for i := range len(tc.body) {
			if _, err := b.Write([]byte{tc.body[i]}); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
		if whole.String() != tc.wire || bytewise.String() != tc.wire {
			t.Errorf("%q: %q whole, %q byte by byte", tc.body, whole.String(), bytewise.String())
		}
	}
	for _, body := range []string{"a\nb", "a\rb", "a\r\r\n", "\n", "a\x00", "a\r"} {
		w := NewDotWriter(io.Discard)
		_, err := io.WriteString(w, body)
		if err = errors.Join(err, w.Close()); err == nil {
			t.Errorf("%q was sent", body)
		}
	}
}

func FuzzReadData(f *testing.F) {
	for _, s := range []string{".\r\n", "a\r\n..b\r\n.\r\nQUIT\r\n", "a\n.\nMAIL\r\n", "a\r\n.\r.\r\n", "\r\n\x00.\r\n", "..\r\r\n.\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		whole := NewReader(bytes.NewReader(wire))
		got, err := whole.ReadData(nil, double, 0)
		again, err2 := NewReader(iotest.OneByteReader(bytes.NewReader(wire))).ReadData(make([]byte, 0, 600), double, 0)
		_, fault := errors.AsType[LineFault](err)
		_, fault2 := errors.AsType[LineFault](err2)
		// Of two faults in one line either may be named.
		if !(fault && fault2) && !errors.Is(err2, err) || !bytes.Equal(got, again) {
			t.Fatalf("whole %q, %v; byte by byte %q, %v", got, err, again, err2)
		}
		if err != nil {
			return
		}
		if err := CheckLines(got); err != nil {
			t.Fatalf("accepted %q: %v", got, err)
		}
		// What was read and what follows it make up what was sent.
		var sent bytes.Buffer
		w := NewDotWriter(&sent)
		if _, err := w.Write(got); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(whole.src)
		rest = append(bytes.Clone(whole.buf[whole.r:whole.w]), rest...)
		end := bytes.Index(append([]byte("\r\n"), wire...), []byte("\r\n.\r\n"))
		if !bytes.Equal(wire[end+3:], rest) {
			t.Fatalf("after the first CR LF . CR LF of %q comes %q", wire, rest)
		}
		if u := unstuffed(wire[:end+3]); !bytes.Equal(u, got) {
			t.Fatalf("%q read as %q, want %q", wire, got, u)
		}
	})
}

// unstuffed takes a data stream apart line by line, the slow and obvious way.
func unstuffed(wire []byte) []byte {
	var out []byte
	for line := range bytes.SplitAfterSeq(wire, []byte("\r\n")) {
		if string(line) == ".\r\n" {
			break
		}
		out = append(out, bytes.TrimPrefix(line, []byte("."))...)
	}
	return out
}

func BenchmarkReadData(b *testing.B) {
	wire := []byte(strings.Repeat(strings.Repeat("x", 76)+"\r\n", 1000) + ".\r\n")
	body := make([]byte, 0, len(wire)+2*minSpare)
	b.SetBytes(int64(len(wire)))
	src := bytes.NewReader(nil)
	r := NewReader(src)
	for b.Loop() {
		src.Reset(wire)
		if _, err := r.ReadData(body, double, 0); err != nil {
			b.Fatal(err)
		}
	}
}
