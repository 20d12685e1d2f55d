package mime

import (
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	odd(f, func(_ string, raw []byte) { f.Add(raw) })
	f.Fuzz(func(t *testing.T, raw []byte) {
		facts := Examine(raw)
		checkTree(t, "fuzz", raw, facts.Root)
		b := facts.Summary.Encode()
		if _, err := DecodeSummary(b); err != nil {
			t.Fatal(err)
		}
		facts.Root.Words(raw, true, func(text []byte) bool { Fold(text); return true })
		FilterFields(raw, []string{"subject"}, true)
		CRLF(raw)
	})
}

func FuzzDecodeSummary(f *testing.F) {
	odd(f, func(_ string, raw []byte) {
		s := SummaryOf(raw)
		f.Add(s.Encode())
	})
	f.Fuzz(func(_ *testing.T, b []byte) {
		if s, err := DecodeSummary(b); err == nil {
			s.Encode()
		}
	})
}

func benchMessage(size int) []byte {
	text := strings.Repeat("The quick brown fox jumps over the lazy dog and comes back.\r\n", size/61)
	return lines("Received: from a.example by b.example with ESMTPS; Mon, 2 Mar 2026 10:11:12 +0100",
		"Message-ID: <bench@example.org>", "From: Ann <ann@example.org>", "To: Bob <bob@example.net>, c@example.net", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
		"Date: Mon, 2 Mar 2026 10:11:12 +0100", "MIME-Version: 1.0", "Content-Type: multipart/alternative; boundary=b", "",
		"--b", "Content-Type: text/plain; charset=utf-8", "", text, "--b", "Content-Type: text/html; charset=utf-8", "", text, "--b--", "")
}

func BenchmarkParse(b *testing.B) {
	raw := benchMessage(6000)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		Parse(raw)
	}
}

func BenchmarkExamine(b *testing.B) {
	raw := benchMessage(6000)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		f := Examine(raw)
		f.Summary.Encode()
	}
}

func BenchmarkDecodeSummary(b *testing.B) {
	s := SummaryOf(benchMessage(6000))
	enc := s.Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeSummary(enc); err != nil {
			b.Fatal(err)
		}
	}
}
