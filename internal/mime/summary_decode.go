package mime

import (
	"encoding/binary"
	"time"
)

// DecodeSummary reads what Encode wrote. Other bytes, or those of a newer
// version, are an error; a summary can always be made again from the message.
func DecodeSummary(b []byte) (Summary, error) {
	if len(b) < 2 || b[0] != summaryVersion {
		return Summary{}, errSummary
	}
	r := reader{b: b[2:]}
	s := Summary{HasAttachment: b[1]&flagAttachment != 0}
	if b[1]&flagSent != 0 {
		unix, minutes := r.int(), r.int()
		if minutes < -24*60*7 || minutes > 24*60*7 {
			return Summary{}, errSummary
		}
		s.Sent = time.Unix(unix, 0).In(fixed(int(minutes) * 60))
	}
	s.BaseSubject = r.string()
	s.Root = r.part(0, 0)
	if r.bad || len(r.b) != 0 || s.Root.Envelope == nil {
		return Summary{}, errSummary
	}
	return s, nil
}

// reader reads the stored form; after the first fault it gives only zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.bad, r.b = true, nil
}

func (r *reader) uint() int {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > 1<<48 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return int(n)
}

func (r *reader) int() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count reads a number of items, each of which takes at least min bytes.
func (r *reader) count(min int) int {
	n := r.uint()
	if n > len(r.b)/min {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) bytes(n int) string {
	if n > len(r.b) {
		r.fail()
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) string() string { return r.bytes(r.uint()) }

func (r *reader) nullable() Nullable {
	n := r.uint()
	if n == 0 {
		return Nullable{}
	}
	return some(r.bytes(n - 1))
}

func (r *reader) params() []Param {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	out := make([]Param, n)
	for i := range out {
		out[i] = Param{r.string(), r.string()}
	}
	return out
}

func (r *reader) part(base, depth int) *Part {
	if len(r.b) == 0 || depth > maxDepth+1 {
		r.fail()
		return &Part{}
	}
	flags := r.b[0]
	r.b = r.b[1:]
	p := &Part{Kind: Kind(flags & 3), Digest: flags&flagDigest != 0}
	p.Start = base + r.uint()
	p.Body = p.Start + r.uint()
	p.End = p.Body + r.uint()
	p.Lines = r.uint()
	c := &p.Content
	if flags&flagType != 0 {
		c.HasType, c.Type, c.Subtype = true, r.string(), r.string()
		c.Params = r.params()
	}
	c.Encoding = r.nullable()
	if flags&flagDisposition != 0 {
		c.Disposition = some(r.string())
		c.DispositionParams = r.params()
	}
	if flags&flagExtras != 0 {
		c.ID, c.Description, c.MD5, c.Location = r.nullable(), r.nullable(), r.nullable(), r.nullable()
		for range r.count(1) {
			c.Language = append(c.Language, r.string())
		}
	}
	if flags&flagEnvelope != 0 {
		p.Envelope = r.envelope()
	}
	base = p.Body
	for range r.count(6) {
		q := r.part(base, depth+1)
		p.Parts = append(p.Parts, q)
		base = q.End
	}
	if p.Kind > Message || p.Kind == Message && (len(p.Parts) != 1 || p.Parts[0].Envelope == nil) || p.Kind == Leaf && p.Parts != nil {
		r.fail()
	}
	return p
}

func (r *reader) envelope() *Envelope {
	e := &Envelope{Date: r.nullable(), Subject: r.nullable(), InReplyTo: r.nullable(), MessageID: r.nullable()}
	for _, list := range []*[]Address{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc} {
		n := r.count(4)
		if n == 0 {
			continue
		}
		*list = make([]Address, n)
		for i := range *list {
			(*list)[i] = Address{r.nullable(), r.nullable(), r.nullable(), r.nullable()}
		}
	}
	return e
}
