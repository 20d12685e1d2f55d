package imap

import "strings"

// A FetchItem is one data item of FETCH: asked for by a client, named in front
// of its value by a server (RFC 9051 §6.4.5, §7.5.2). An unknown one is its Name.
type FetchItem struct {
	Name string // in upper case, without ".PEEK", section and partial: "FLAGS", "BODY", "BINARY.SIZE", …
	Peek bool   // asked as ".PEEK": \Seen is not set
	// Section is what stands in brackets; nil without them. "BODY" without is
	// the short BODYSTRUCTURE, "BODY[]" with is the message.
	Section *Section
	Partial *Partial
}

// A Partial is "<offset.count>"; in a response it is "<offset>" and Count is 0.
type Partial struct{ Offset, Count uint32 }

// A Section names a part of a message (RFC 9051 §6.4.5.1).
type Section struct {
	Path   []uint32 // part numbers, 1 is the first; none for the whole message
	Text   string   // "", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME", in upper case
	Fields []string // of the two HEADER.FIELDS, as written
}

// Names of FETCH items. The set is open.
const (
	ItemUID           = "UID"
	ItemFlags         = "FLAGS"
	ItemModSeq        = "MODSEQ"
	ItemInternalDate  = "INTERNALDATE"
	ItemSize          = "RFC822.SIZE"
	ItemRFC822        = "RFC822"
	ItemRFC822Header  = "RFC822.HEADER"
	ItemRFC822Text    = "RFC822.TEXT"
	ItemEnvelope      = "ENVELOPE"
	ItemBody          = "BODY"
	ItemBodyStructure = "BODYSTRUCTURE"
	ItemBinary        = "BINARY"
	ItemBinarySize    = "BINARY.SIZE"
	ItemEmailID       = "EMAILID"
	ItemThreadID      = "THREADID"
)

// maxPath bounds the part numbers of a section; deeper MIME is not served.
const maxPath = 100

// FetchItems reads the items of a FETCH command: one, a macro, or a list. The
// macros ALL, FAST and FULL come out as the items they stand for.
func (d *Decoder) FetchItems() []FetchItem {
	var items []FetchItem
	if d.Peek() == '(' {
		d.List(func() { items = append(items, d.FetchItem()) })
		if len(items) == 0 {
			d.Want("a FETCH item")
		}
		return items
	}
	item := d.FetchItem()
	if item.Section != nil {
		return []FetchItem{item}
	}
	fast := []FetchItem{{Name: ItemFlags}, {Name: ItemInternalDate}, {Name: ItemSize}}
	switch item.Name {
	case "FAST":
		return fast
	case "ALL":
		return append(fast, FetchItem{Name: ItemEnvelope})
	case "FULL":
		return append(fast, FetchItem{Name: ItemEnvelope}, FetchItem{Name: ItemBody})
	}
	return []FetchItem{item}
}

// FetchItem reads one item's name with its section and partial, on either side.
func (d *Decoder) FetchItem() FetchItem {
	item := FetchItem{Name: d.Name()}
	if d.err != nil {
		return item
	}
	if d.Peek() == '[' {
		if name, ok := strings.CutSuffix(item.Name, ".PEEK"); ok {
			item.Name, item.Peek = name, true
		}
		item.Section = d.section()
	}
	if item.Section != nil && d.Accept('<') {
		item.Partial = &Partial{Offset: d.Number()}
		if d.Accept('.') {
			item.Partial.Count = d.NonZero()
		} else if d.opt.Server {
			d.Want("a partial's length")
		}
		d.Expect('>')
	}
	return item
}

func (d *Decoder) section() *Section {
	s := new(Section)
	d.Expect('[')
	if d.Accept(']') {
		return s
	}
	for c := d.Peek(); c >= '0' && c <= '9'; c = d.Peek() {
		s.Path = append(s.Path, d.NonZero())
		if len(s.Path) > maxPath {
			d.Want("a shorter section")
			return s
		}
		if !d.Accept('.') {
			d.Expect(']')
			return s
		}
	}
	s.Text = d.sectionText()
	if d.err == nil && s.Text == "MIME" && len(s.Path) == 0 {
		d.Want("a part number before MIME")
	}
	if strings.HasPrefix(s.Text, "HEADER.FIELDS") {
		d.SP()
		d.List(func() { s.Fields = append(s.Fields, d.AString()) })
		if len(s.Fields) == 0 {
			d.Want("a header field's name")
		}
	}
	d.Expect(']')
	return s
}

// sectionText reads section-text's word.
func (d *Decoder) sectionText() string {
	word := upper(string(d.take(isCode)))
	switch word {
	case "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME":
	default:
		if d.opt.Server {
			d.Want("HEADER, TEXT or MIME")
		}
	}
	return word
}

// String is the section without its brackets. Two sections that ask the same have the same String if their fields have the same case.
func (s *Section) String() string {
	var b strings.Builder
	for i, n := range s.Path {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(Range{n, n}.string())
	}
	if s.Text != "" {
		if len(s.Path) > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.Text)
	}
	for i, f := range s.Fields {
		if i == 0 {
			b.WriteString(" (")
		} else {
			b.WriteByte(' ')
		}
		if isAll(f, isAtom) {
			b.WriteString(f)
		} else {
			b.WriteString(quote(f))
		}
	}
	if len(s.Fields) > 0 {
		b.WriteByte(')')
	}
	return b.String()
}

func (r Range) string() string { return string(r.append(nil)) }

// quote is f as a quoted string; what can't be in one is dropped (no header field's name holds it).
func quote(f string) string {
	b := []byte{'"'}
	for i := range len(f) {
		switch c := f[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ' && c < 0x7f:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// FetchItem writes what a client asks.
func (e *Encoder) FetchItem(item FetchItem) *Encoder {
	e.Raw(item.Name)
	if item.Section == nil {
		return e
	}
	if item.Peek {
		e.Raw(".PEEK")
	}
	e.Raw("[").Raw(item.Section.String()).Raw("]")
	if p := item.Partial; p != nil {
		e.Raw("<").Number(p.Offset).Raw(".").Number(p.Count).Raw(">")
	}
	return e
}

// FetchLabel writes what a server puts before the item's value: without ".PEEK", the partial as "<offset>".
func (e *Encoder) FetchLabel(item FetchItem) *Encoder {
	e.Raw(item.Name)
	if item.Section == nil {
		return e
	}
	e.Raw("[").Raw(item.Section.String()).Raw("]")
	// BINARY.SIZE takes no partial; for others the answer names the origin only (RFC 9051 §7.5.2).
	if p := item.Partial; p != nil {
		e.Raw("<").Number(p.Offset).Raw(">")
	}
	return e
}

// FetchItems writes the items as a list.
func (e *Encoder) FetchItems(items []FetchItem) *Encoder {
	e.Open()
	for _, item := range items {
		e.Sep().FetchItem(item)
	}
	return e.Close()
}

// FetchModifiers are what may follow the items of FETCH (RFC 7162 §3.1.4.1, §3.2.6).
type FetchModifiers struct {
	ChangedSince    uint64 // 0: not asked
	HasChangedSince bool   // asked, be it with 0
	Vanished        bool   // also tell what was expunged since (UID FETCH with QRESYNC)
}

// FetchModifiers reads "(CHANGEDSINCE n [VANISHED])".
func (d *Decoder) FetchModifiers() FetchModifiers {
	var m FetchModifiers
	d.List(func() {
		switch d.Command() {
		case "CHANGEDSINCE":
			d.SP()
			m.ChangedSince, m.HasChangedSince = d.Number64(), true
		case "VANISHED":
			m.Vanished = true
		default:
			d.Want("CHANGEDSINCE or VANISHED")
		}
	})
	if m.Vanished && !m.HasChangedSince {
		d.Want("CHANGEDSINCE with VANISHED")
	}
	return m
}
