package imap

// A BodyStructure is the tree of a message's MIME parts (RFC 9051 §7.5.2). A
// part with Parts is a multipart; one with Envelope and Body is a message/rfc822
// (or message/global) whose insides are described.
type BodyStructure struct {
	Type, Subtype string // as in the header; "multipart" for a multipart

	// Basic fields, not of a multipart.
	ID, Description NString
	Encoding        NString // Content-Transfer-Encoding
	Size            uint32  // encoded bytes
	Lines           uint32  // text/* and message/rfc822 only
	Envelope        *Envelope
	Body            *BodyStructure

	Parts []*BodyStructure

	// Extension data: in BODYSTRUCTURE, not in BODY.
	Params      []Param // of Content-Type; nil is NIL (basic for a part, extension for a multipart)
	MD5         NString // not of a multipart
	Disposition *Disposition
	Language    []string // nil is NIL
	Location    NString
	Extended    bool // extension data was read: NIL in it means absent, not unsaid
}

// A Param is one parameter of Content-Type or Content-Disposition.
type Param struct{ Name, Value string }

// A Disposition is a parsed Content-Disposition (RFC 2183).
type Disposition struct {
	Type   string
	Params []Param
}

// IsMultipart tells whether the part is a multipart.
func (b *BodyStructure) IsMultipart() bool { return len(b.Parts) > 0 }

// BodyStructure reads BODY's or BODYSTRUCTURE's value. How deep it may be is
// bounded by MaxDepth, how long by MaxLine.
func (d *Decoder) BodyStructure() *BodyStructure {
	b := new(BodyStructure)
	d.Expect('(')
	d.enter()
	if d.Peek() == '(' {
		for d.Peek() == '(' && d.err == nil {
			b.Parts = append(b.Parts, d.BodyStructure())
			d.Accept(' ')
		}
		b.Type, b.Subtype = "multipart", d.NString().Value
		if d.more() {
			b.Params = d.params()
			b.Extended = true
		}
	} else {
		d.basic(b)
		if d.more() {
			b.MD5 = d.NString()
			b.Extended = true
		}
	}
	if d.more() {
		b.Disposition = d.disposition()
	}
	if d.more() {
		b.Language = d.languages()
	}
	if d.more() {
		b.Location = d.NString()
	}
	for d.more() {
		d.SkipValue()
	}
	d.Expect(')')
	d.depth--
	return b
}

// more tells whether another field of the list follows, and goes to it.
func (d *Decoder) more() bool { return d.Accept(' ') && d.Peek() != ')' && d.err == nil }

func (d *Decoder) basic(b *BodyStructure) {
	b.Type = d.NString().Value
	d.SP()
	b.Subtype = d.NString().Value
	d.SP()
	b.Params = d.params()
	d.SP()
	b.ID = d.NString()
	d.SP()
	b.Description = d.NString()
	d.SP()
	b.Encoding = d.NString()
	d.SP()
	b.Size = d.Number()
	switch {
	case equalFold(b.Type, "message") && (equalFold(b.Subtype, "rfc822") || equalFold(b.Subtype, "global")):
		// Some servers describe a message they can't parse as a basic part.
		if !d.more() {
			return
		}
		if d.Peek() != '(' {
			b.MD5 = d.NString()
			b.Extended = true
			return
		}
		b.Envelope = d.Envelope()
		d.SP()
		b.Body = d.BodyStructure()
		d.SP()
		b.Lines = d.Number()
	case equalFold(b.Type, "text"):
		d.SP()
		b.Lines = d.Number()
	}
}

func (d *Decoder) params() []Param {
	var list []Param
	d.NList(func() {
		p := Param{Name: d.NString().Value}
		d.SP()
		p.Value = d.NString().Value
		list = append(list, p)
	})
	return list
}

func (d *Decoder) disposition() *Disposition {
	if d.Peek() != '(' {
		d.nilAtom()
		return nil
	}
	v := new(Disposition)
	d.fields(
		func() { v.Type = d.NString().Value },
		func() { v.Params = d.params() },
	)
	return v
}

func (d *Decoder) languages() []string {
	if d.Peek() != '(' {
		if s := d.NString(); s.Set {
			return []string{s.Value}
		}
		return nil
	}
	var list []string
	d.List(func() { list = append(list, d.String()) })
	return list
}

// BodyStructure writes b: as BODYSTRUCTURE when extended, else as BODY.
func (e *Encoder) BodyStructure(b *BodyStructure, extended bool) *Encoder {
	e.Raw("(")
	if b.IsMultipart() {
		for _, p := range b.Parts { // no spaces between parts (RFC 9051 §9, body-type-mpart)
			e.BodyStructure(p, extended)
		}
		e.SP().String(b.Subtype)
		if extended {
			e.SP().params(b.Params)
		}
	} else {
		e.String(b.Type).SP().String(b.Subtype).SP().params(b.Params)
		e.SP().NString(b.ID).SP().NString(b.Description).SP().NString(b.Encoding).SP().Number(b.Size)
		switch {
		case b.Envelope != nil && b.Body != nil:
			e.SP().Envelope(b.Envelope).SP().BodyStructure(b.Body, extended).SP().Number(b.Lines)
		case equalFold(b.Type, "text"):
			e.SP().Number(b.Lines)
		}
		if extended {
			e.SP().NString(b.MD5)
		}
	}
	if extended {
		e.SP().disposition(b.Disposition).SP().languages(b.Language).SP().NString(b.Location)
	}
	e.items = true
	return e.Raw(")")
}

func (e *Encoder) params(list []Param) *Encoder {
	if len(list) == 0 {
		return e.Raw("NIL")
	}
	for i, p := range list {
		e.Raw("( "[min(i, 1) : min(i, 1)+1]).String(p.Name).SP().String(p.Value)
	}
	return e.Raw(")")
}

func (e *Encoder) disposition(v *Disposition) *Encoder {
	if v == nil {
		return e.Raw("NIL")
	}
	return e.Raw("(").String(v.Type).SP().params(v.Params).Raw(")")
}

// languages writes one language as a string and several as a list, as servers do.
func (e *Encoder) languages(list []string) *Encoder {
	if len(list) == 0 {
		return e.Raw("NIL")
	}
	for i, l := range list {
		e.Raw("( "[min(i, 1) : min(i, 1)+1]).String(l)
	}
	return e.Raw(")")
}

// equalFold is strings.EqualFold for ASCII words.
func equalFold(a, lower string) bool {
	if len(a) != len(lower) {
		return false
	}
	for i := range len(a) {
		c := a[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
