package imap

import "strings"

// A StoreOp says what STORE does with the flags given.
type StoreOp string

// The operations (RFC 9051 §6.4.6).
const (
	StoreSet    StoreOp = "FLAGS"
	StoreAdd    StoreOp = "+FLAGS"
	StoreRemove StoreOp = "-FLAGS"
)

// A Store is the arguments of STORE after the set.
type Store struct {
	Op                StoreOp
	Silent            bool // ".SILENT": do not tell the new flags
	Flags             []string
	UnchangedSince    uint64 // RFC 7162 §3.1.3; 0 is a value of its own: nothing may match
	HasUnchangedSince bool
}

// Store reads "[(UNCHANGEDSINCE n) ][+-]FLAGS[.SILENT] flags".
func (d *Decoder) Store() Store {
	var s Store
	if d.Peek() == '(' {
		d.List(func() {
			if d.Command() != "UNCHANGEDSINCE" {
				d.Want("UNCHANGEDSINCE")
			}
			d.SP()
			s.UnchangedSince, s.HasUnchangedSince = d.Number64(), true
		})
		d.SP()
	}
	word, silent := strings.CutSuffix(d.Command(), ".SILENT")
	s.Op, s.Silent = StoreOp(word), silent
	switch s.Op {
	case StoreSet, StoreAdd, StoreRemove:
	default:
		d.Want("FLAGS, +FLAGS or -FLAGS")
	}
	d.SP()
	if d.Peek() == '(' {
		s.Flags = d.Flags()
		return s
	}
	s.Flags = []string{d.Flag()}
	for d.err == nil && !d.AtEnd() {
		d.SP()
		s.Flags = append(s.Flags, d.Flag())
	}
	return s
}

// Store writes the arguments of STORE after the set.
func (e *Encoder) Store(s Store) *Encoder {
	if s.HasUnchangedSince {
		e.Raw("(UNCHANGEDSINCE ").Number64(s.UnchangedSince).Raw(") ")
	}
	e.Raw(string(s.Op))
	if s.Silent {
		e.Raw(".SILENT")
	}
	return e.SP().Flags(s.Flags)
}

// A QResync is the parameter of SELECT and EXAMINE (RFC 7162 §3.2.5).
type QResync struct {
	UIDValidity uint32
	ModSeq      uint64
	Known       NumSet // UIDs known; nil: all
	Seqs, UIDs  NumSet // message sequence match data; nil: none
}

// SelectParams are the parameters of SELECT and EXAMINE.
type SelectParams struct {
	CondStore bool
	QResync   *QResync
}

// SelectParams reads "(CONDSTORE)" or "(QRESYNC (…))"; unknown ones are an error (RFC 4466 §2.1).
func (d *Decoder) SelectParams() SelectParams {
	var p SelectParams
	d.List(func() {
		switch d.Command() {
		case CapCondStore:
			p.CondStore = true
		case CapQResync:
			d.SP()
			p.QResync = d.qresync()
		default:
			d.Want("CONDSTORE or QRESYNC")
		}
	})
	return p
}

func (d *Decoder) qresync() *QResync {
	q := new(QResync)
	d.Expect('(')
	q.UIDValidity = d.NonZero()
	d.SP()
	q.ModSeq = d.Number64()
	if d.Accept(' ') && d.Peek() != '(' {
		q.Known = d.NumSet()
		d.Accept(' ')
	}
	if d.Accept('(') {
		q.Seqs = d.NumSet()
		d.SP()
		q.UIDs = d.NumSet()
		d.Expect(')')
	}
	d.Expect(')')
	return q
}

// SelectParams writes the parameters with the space before them; nothing when there are none.
func (e *Encoder) SelectParams(p SelectParams) *Encoder {
	switch q := p.QResync; {
	case q != nil:
		e.Raw(" (QRESYNC (").Number(q.UIDValidity).SP().Number64(q.ModSeq)
		if len(q.Known) > 0 {
			e.SP().NumSet(q.Known)
		}
		if len(q.Seqs) > 0 {
			e.Raw(" (").NumSet(q.Seqs).SP().NumSet(q.UIDs).Raw(")")
		}
		return e.Raw("))")
	case p.CondStore:
		return e.Raw(" (CONDSTORE)")
	}
	return e
}
