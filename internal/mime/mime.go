// Package mime reads the structure of a message: parts with their exact place in the bytes, header fields, and what lists and matching need of them.
//
// It reads what is there and never fails: what can't be parsed is a leaf as it
// came. Its answers over broken mail are those of Dovecot 2.3, since clients and
// the merge compare the two servers' answers. Every size that a stranger can
// grow is bounded, and the work is linear in the bytes.
//
// RFC 5322 (fields, addresses, dates), RFC 2045 and RFC 2046 (parts), RFC 2047
// (encoded words), RFC 2183 (disposition), RFC 2231 (parameters), RFC 5256 §2.1
// (base subject), RFC 5051 (how text is compared), RFC 9051 §7.5.2 (ENVELOPE and
// BODYSTRUCTURE).
package mime

// Bounds on what a message can make us do. What lies beyond is kept as bytes of
// the part that holds it.
const (
	maxDepth    = 100     // parts inside each other
	maxParts    = 10_000  // parts of a message
	maxBoundary = 80      // bytes of a boundary that are compared (RFC 2046 §5.1.1 allows 70)
	maxHeader   = 1 << 20 // bytes of one header whose fields are read
	maxAddress  = 10_000  // addresses of one field
)

// Kind is what a part is for the one who walks the tree.
type Kind uint8

// The kinds. The values are stored in summaries.
const (
	Leaf      Kind = iota
	Multipart      // multipart/*: its parts are in Parts, maybe none
	Message        // message/rfc822: Parts holds the one message inside
)

// Part is a message, or a part of one. Offsets count bytes from the start of
// the message's bytes: header Start up to Body (with the empty line, if there is
// one), body from Body up to End.
type Part struct {
	Start, Body, End int
	Lines            int // line feeds in the body

	Kind    Kind
	Digest  bool // multipart/digest: the default type inside is message/rfc822 (RFC 2046 §5.1.5)
	Content Content
	// Envelope is set for the message itself and for one inside message/rfc822.
	Envelope *Envelope
	Parts    []*Part
}

// Content is what a part's Content-* fields say. It is the zero value where
// they are missing, or not valid because nothing says that the message is MIME.
type Content struct {
	HasType       bool   // a Content-Type field is there; else Type and Subtype are ""
	Type, Subtype string // as spelled; Subtype is "" where it is missing
	Params        []Param

	Disposition       Nullable
	DispositionParams []Param

	Encoding    Nullable
	ID          Nullable
	Description Nullable
	MD5         Nullable
	Language    []string
	Location    Nullable
}

// Param is a parameter of a Content-Type or Content-Disposition. The pieces of
// RFC 2231 are joined: a name that ends in * has a value "charset'language'%xx…".
type Param struct{ Name, Value string }

// Nullable is a string or NIL, which IMAP tells apart (RFC 9051 §4.5).
type Nullable struct {
	Text string
	Set  bool
}

func some(s string) Nullable { return Nullable{s, true} }

// Size is the number of bytes of the body.
func (p *Part) Size() int { return p.End - p.Body }

// IsText tells whether the part counts as text/*: so does one without a type.
func (p *Part) IsText() bool {
	return p.Kind == Leaf && (!p.Content.HasType || equalFold(p.Content.Type, "text"))
}

// Walk calls f for the part and all parts inside, in order of their bytes.
func (p *Part) Walk(f func(*Part)) {
	f(p)
	for _, q := range p.Parts {
		q.Walk(f)
	}
}

// Find is the part that an IMAP section number means (RFC 9051 §6.4.5.1), nil
// if there is none. An empty path is the message itself.
func (p *Part) Find(path []int) *Part {
	for i, n := range path {
		last := i == len(path)-1
		if p.Kind == Multipart {
			if n < 1 || n > len(p.Parts) {
				return nil
			}
			p = p.Parts[n-1]
		} else if n != 1 || !last && p.Kind != Message {
			return nil
		}
		if p.Kind == Message && !last {
			p = p.Parts[0]
		}
	}
	return p
}

// Param is the value of the content type's parameter name, decoded (RFC 2231
// §4), "" if there is none.
func (c *Content) Param(name string) string { return paramText(c.Params, name) }

// Filename is the name the sender gave to the part, decoded, "" if none.
func (c *Content) Filename() string {
	if s := paramText(c.DispositionParams, "filename"); s != "" {
		return s
	}
	return paramText(c.Params, "name")
}
