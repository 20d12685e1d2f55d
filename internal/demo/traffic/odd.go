package traffic

import (
	"bytes"
	"fmt"
	"strings"
)

// odd are contents as they come from the wild. All may travel over SMTP with 8BITMIME, so each must come back unchanged.
var odd = []func(w *Writer, b *bytes.Buffer, text string){
	eightBit, latin1, unclosed, unknownCharset, noType, forwarded, longHeader, emptyBody, dots, calendar, twoTypes, noFinalNewline, deep, trailingSpace,
}

func eightBit(_ *Writer, b *bytes.Buffer, text string) {
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text)
}

// latin1 holds bytes that are not UTF-8.
func latin1(_ *Writer, b *bytes.Buffer, _ string) {
	b.WriteString("Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nL'\xe9t\xe9 \xe0 la plage, na\xefvet\xe9.\r\n")
}

func unclosed(w *Writer, b *bytes.Buffer, text string) {
	sep := w.boundary()
	fmt.Fprintf(b, "Content-Type: multipart/mixed; boundary=%q\r\n\r\n--%s\r\n", sep, sep)
	plain(b, text)
}

func unknownCharset(_ *Writer, b *bytes.Buffer, text string) {
	b.WriteString("Content-Type: text/plain; charset=x-unknown-42\r\nContent-Transfer-Encoding: x-rot13\r\n\r\n" + ascii(text))
}

func noType(_ *Writer, b *bytes.Buffer, text string) {
	b.WriteString("X-Empty:\r\n\r\n" + text)
}

// forwarded nests a message whose own header looks like ours.
func forwarded(w *Writer, b *bytes.Buffer, text string) {
	sep := w.boundary()
	fmt.Fprintf(b, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\n", sep, sep)
	plain(b, "FYI\r\n")
	fmt.Fprintf(b, "\r\n--%s\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\nReceived: from nowhere\r\nMessage-ID: <inner@example.test>\r\nSubject: =?utf-8?q?d=C3=A9j=C3=A0_vu?=\r\n\r\n%s\r\n--%s--\r\n", sep, text, sep)
}

func longHeader(_ *Writer, b *bytes.Buffer, text string) {
	b.WriteString("X-Long: " + strings.Repeat("abcdefghij", 98) + "\r\nX-Folded: one\r\n\ttwo\r\n   three\r\n")
	plain(b, text)
}

func emptyBody(_ *Writer, b *bytes.Buffer, _ string) {
	b.WriteString("Content-Type: text/plain\r\n\r\n")
}

// dots are what SMTP stuffs and unstuffs (RFC 5321 §4.5.2).
func dots(_ *Writer, b *bytes.Buffer, text string) {
	b.WriteString("Content-Type: text/plain\r\n\r\n.\r\n..\r\n...\r\n.starts with a dot\r\n" + ascii(text) + ".\r\n")
}

func calendar(_ *Writer, b *bytes.Buffer, _ string) {
	b.WriteString("Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nBEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\n" +
		"UID:42@example.test\r\nDTSTART:20260612T123000Z\r\nSUMMARY:Réunion d'équipe\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

func twoTypes(_ *Writer, b *bytes.Buffer, text string) {
	b.WriteString("Content-Type: text/html\r\nContent-Type: text/plain; charset=utf-8\r\nSubject: a second subject\r\n\r\n" + ascii(text))
}

// noFinalNewline lacks the closing boundary's line; SMTP needs CR LF before the final dot, so the bytes end with it.
func noFinalNewline(w *Writer, b *bytes.Buffer, text string) {
	sep := w.boundary()
	fmt.Fprintf(b, "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n--%s\r\n\r\n%s\r\n--%s--trailing garbage\r\n", sep, sep, ascii(text), sep)
}

func deep(w *Writer, b *bytes.Buffer, text string) {
	for range 12 {
		sep := w.boundary()
		fmt.Fprintf(b, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\n", sep, sep)
	}
	plain(b, text)
}

func trailingSpace(_ *Writer, b *bytes.Buffer, _ string) {
	b.WriteString("Content-Type: text/plain; format=flowed\r\n\r\nflowed text \r\nwith spaces  \r\n\t\r\n \r\n\r\n\r\n")
}
