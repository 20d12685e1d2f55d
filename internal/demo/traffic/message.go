package traffic

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
)

// Message is a message ready to be sent or filed.
type Message struct {
	ID   string // Message-ID with its brackets; "" where an odd message has none or shares it
	From Person
	To   []Person
	Date time.Time
	Raw  []byte // CR LF line ends, no line over 998 bytes, no NUL, no bare CR or LF
}

// Writer writes messages of a company, one after the other.
type Writer struct {
	Company Company
	rng     *rand.Rand
	n       int
	tag     string
	threads []Message // recent ones, which replies may point at
}

// NewWriter makes a writer. Two with different tags never make the same Message-ID.
func NewWriter(c Company, seed uint64, tag string) *Writer {
	return &Writer{Company: c, rng: rand.New(rand.NewPCG(seed, uint64(len(tag)))), tag: tag}
}

// Inbound writes a message from outside to one, seldom three, of the staff.
func (w *Writer) Inbound(date time.Time) Message {
	to := []Person{pick(w.rng, w.Company.Staff)}
	for w.rng.IntN(10) == 0 && len(to) < 3 {
		to = appendNew(to, pick(w.rng, w.Company.Staff))
	}
	return w.Write(pick(w.rng, w.Company.Outside), to, date)
}

// Outbound writes a message of one of the staff to somebody outside.
func (w *Writer) Outbound(date time.Time) Message {
	return w.Write(pick(w.rng, w.Company.Staff), []Person{pick(w.rng, w.Company.Outside)}, date)
}

// Internal writes a message between two of the staff.
func (w *Writer) Internal(date time.Time) Message {
	from := pick(w.rng, w.Company.Staff)
	to := pick(w.rng, w.Company.Staff)
	for to.Email == from.Email {
		to = pick(w.rng, w.Company.Staff)
	}
	return w.Write(from, []Person{to}, date)
}

// Write writes a message; about a third are replies, a fifth carry a file, a few are odd.
func (w *Writer) Write(from Person, to []Person, date time.Time) Message {
	subject := w.subject(from.French)
	if len(w.threads) > 0 && w.rng.IntN(3) == 0 {
		return w.write(from, to, "Re: "+subject, pick(w.rng, w.threads).ID, date)
	}
	return w.write(from, to, subject, "", date)
}

// Reply writes one person's answer to a message that came to him or her.
func (w *Writer) Reply(m Message, from Person, date time.Time) Message {
	return w.write(from, []Person{m.From}, "Re: "+w.subject(m.From.French), m.ID, date)
}

func (w *Writer) write(from Person, to []Person, subject, parent string, date time.Time) Message {
	w.n++
	_, domain, _ := strings.Cut(from.Email, "@")
	m := Message{ID: fmt.Sprintf("<%s.%d.%08x@%s>", w.tag, w.n, w.rng.Uint32(), domain), From: from, To: to, Date: date.Truncate(time.Second)}
	var refs string
	if parent != "" {
		refs = "In-Reply-To: " + parent + "\r\nReferences: " + parent + "\r\n"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: %s\r\n%s",
		address(from), addresses(to), mime.QEncoding.Encode("utf-8", subject), date.Format(time.RFC1123Z), m.ID, refs)
	w.content(&b, from.French)
	m.Raw = b.Bytes()
	w.threads = append(w.threads, m)
	if len(w.threads) > 50 {
		w.threads = w.threads[1:]
	}
	return m
}

func (w *Writer) subject(french bool) string {
	if french {
		return fmt.Sprintf(pick(w.rng, subjectsFR), w.rng.IntN(9000)+100)
	}
	return fmt.Sprintf(pick(w.rng, subjectsEN), w.rng.IntN(9000)+100)
}

func (w *Writer) content(b *bytes.Buffer, french bool) {
	b.WriteString("MIME-Version: 1.0\r\n")
	text := w.text(french)
	switch n := w.rng.IntN(20); {
	case n < 7:
		plain(b, text)
	case n < 13:
		w.alternative(b, text)
	case n < 17:
		w.mixed(b, text)
	default:
		odd[w.rng.IntN(len(odd))](w, b, text)
	}
}

func (w *Writer) text(french bool) string {
	bank, hello, bye := sentencesEN, "Hello,", "Best regards"
	if french {
		bank, hello, bye = sentencesFR, "Bonjour,", "Cordialement"
	}
	var b strings.Builder
	b.WriteString(hello + "\r\n\r\n")
	for range 2 + w.rng.IntN(4) {
		for range 1 + w.rng.IntN(5) {
			b.WriteString(pick(w.rng, bank) + " ")
		}
		b.WriteString("\r\n\r\n")
	}
	b.WriteString(bye + "\r\n-- \r\n" + w.Company.Domain + "\r\n")
	return b.String()
}

func plain(b *bytes.Buffer, text string) {
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	quoted(b, text)
}

func (w *Writer) alternative(b *bytes.Buffer, text string) {
	sep := w.boundary()
	fmt.Fprintf(b, "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n--%s\r\n", sep, sep)
	plain(b, text)
	fmt.Fprintf(b, "\r\n--%s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", sep)
	quoted(b, "<html><body><p>"+strings.ReplaceAll(text, "\r\n\r\n", "</p>\r\n<p>")+"</p></body></html>\r\n")
	fmt.Fprintf(b, "\r\n--%s--\r\n", sep)
}

func (w *Writer) mixed(b *bytes.Buffer, text string) {
	sep := w.boundary()
	fmt.Fprintf(b, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\nThis is a message in MIME format.\r\n--%s\r\n", sep, sep)
	w.alternative(b, text)
	for range 1 + w.rng.IntN(2) {
		f := pick(w.rng, files)
		fmt.Fprintf(b, "\r\n--%s\r\nContent-Type: %s\r\nContent-Disposition: %s\r\nContent-Transfer-Encoding: base64\r\n\r\n",
			sep, f.kind, mime.FormatMediaType("attachment", map[string]string{"filename": f.name}))
		w.base64(b, 500+w.rng.IntN(20000))
	}
	fmt.Fprintf(b, "--%s--\r\n", sep)
}

// base64 writes n random bytes in lines of 76 characters.
func (w *Writer) base64(b *bytes.Buffer, n int) {
	raw := make([]byte, n)
	for i := range raw {
		raw[i] = byte(w.rng.Uint32())
	}
	text := base64.StdEncoding.EncodeToString(raw)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text + "\r\n")
}

func (w *Writer) boundary() string { return fmt.Sprintf("=_%x", w.rng.Uint64()) }

func quoted(b *bytes.Buffer, text string) {
	q := quotedprintable.NewWriter(b)
	_, _ = q.Write([]byte(text)) // to memory
	_ = q.Close()
}

func address(p Person) string {
	return mime.QEncoding.Encode("utf-8", strings.ReplaceAll(p.Name, "'", "’")) + " <" + p.Email + ">"
}

func addresses(people []Person) string {
	out := make([]string, len(people))
	for i, p := range people {
		out[i] = address(p)
	}
	return strings.Join(out, ",\r\n ")
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

func appendNew(people []Person, p Person) []Person {
	for _, o := range people {
		if o.Email == p.Email {
			return people
		}
	}
	return append(people, p)
}
