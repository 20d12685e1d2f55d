package imap

// A ListData is one LIST or LSUB response (RFC 9051 §7.3.1).
type ListData struct {
	Attrs   []string // `\HasChildren`, `\Sent`, `\NonExistent` …, as written
	Delim   byte     // hierarchy separator; 0 is NIL: flat
	Mailbox string   // UTF-8
	OldName string   // the name it had before, when a server tells a rename; else ""
}

// Has tells whether the attribute is there, without regard to case.
func (l *ListData) Has(attr string) bool {
	for _, a := range l.Attrs {
		if len(a) == len(attr) && upper(a) == upper(attr) {
			return true
		}
	}
	return false
}

// Attributes of LIST (RFC 9051 §7.3.1). The special uses are mail.Role's.
const (
	AttrNoSelect      = `\Noselect`
	AttrNonExistent   = `\NonExistent`
	AttrNoInferiors   = `\Noinferiors`
	AttrHasChildren   = `\HasChildren`
	AttrHasNoChildren = `\HasNoChildren`
	AttrSubscribed    = `\Subscribed`
	AttrMarked        = `\Marked`
	AttrUnmarked      = `\Unmarked`
)

// ListData reads what follows "LIST" or "LSUB" and a space, without the end of the line.
func (d *Decoder) ListData() ListData {
	var l ListData
	l.Attrs = d.Flags()
	d.SP()
	if d.Peek() == '"' {
		if b := d.quoted(); len(b) == 1 {
			l.Delim = b[0]
		}
	} else {
		d.nilAtom()
	}
	d.SP()
	l.Mailbox = d.Mailbox()
	if d.Accept(' ') && !d.AtEnd() { // extended data (RFC 9051 §7.3.1)
		d.List(func() {
			name := upper(d.AString())
			d.SP()
			if name != "OLDNAME" || d.Peek() != '(' {
				d.SkipValue()
				return
			}
			d.List(func() { l.OldName = d.Mailbox() })
		})
	}
	return l
}

// ListData writes a LIST or LSUB response as word says.
func (e *Encoder) ListData(word string, l ListData) *Encoder {
	e.Raw("* ").Raw(word).SP().Flags(l.Attrs).SP()
	if l.Delim == 0 {
		e.Raw("NIL")
	} else {
		e.String(string(rune(l.Delim)))
	}
	e.SP().Mailbox(l.Mailbox)
	if l.OldName != "" {
		e.Raw(` ("OLDNAME" (`).Mailbox(l.OldName).Raw("))")
	}
	return e.CRLF()
}

// A StatusItem is an item of STATUS, in upper case. The set is open.
type StatusItem string

// The items (RFC 9051 §6.3.11, RFC 7162 §3.1.7, RFC 8474 §4.3, RFC 7889).
const (
	StatusMessages      StatusItem = "MESSAGES"
	StatusRecent        StatusItem = "RECENT"
	StatusUIDNext       StatusItem = "UIDNEXT"
	StatusUIDValidity   StatusItem = "UIDVALIDITY"
	StatusUnseen        StatusItem = "UNSEEN"
	StatusDeleted       StatusItem = "DELETED"
	StatusSize          StatusItem = "SIZE"
	StatusHighestModSeq StatusItem = "HIGHESTMODSEQ"
	StatusMailboxID     StatusItem = "MAILBOXID"
	StatusAppendLimit   StatusItem = "APPENDLIMIT"
)

// A StatusData is one STATUS response.
type StatusData struct {
	Mailbox   string
	Values    []StatusValue // in the order given
	MailboxID string        // RFC 8474; "" when not told
}

// A StatusValue is an item and its number.
type StatusValue struct {
	Item StatusItem
	N    uint64
}

// Get is the value of item, if it was told.
func (s *StatusData) Get(item StatusItem) (uint64, bool) {
	for _, v := range s.Values {
		if v.Item == item {
			return v.N, true
		}
	}
	return 0, false
}

// StatusItems reads the list of items of a STATUS command.
func (d *Decoder) StatusItems() []StatusItem {
	var items []StatusItem
	d.List(func() { items = append(items, StatusItem(d.Name())) })
	if len(items) == 0 {
		d.Want("a STATUS item")
	}
	return items
}

// StatusItems writes the list of items of a STATUS command.
func (e *Encoder) StatusItems(items []StatusItem) *Encoder {
	e.Open()
	for _, item := range items {
		e.Sep().Raw(string(item))
	}
	return e.Close()
}

// StatusData reads what follows "STATUS" and a space, without the end of the line.
func (d *Decoder) StatusData() StatusData {
	s := StatusData{Mailbox: d.Mailbox()}
	d.SP()
	d.List(func() {
		item := StatusItem(d.Name())
		d.SP()
		switch c := d.Peek(); {
		case item == StatusMailboxID && c == '(':
			d.List(func() { s.MailboxID = d.AString() })
		case c >= '0' && c <= '9':
			s.Values = append(s.Values, StatusValue{item, d.Number64()})
		default: // APPENDLIMIT NIL, and what is not known
			d.SkipValue()
		}
	})
	return s
}

// StatusData writes a STATUS response.
func (e *Encoder) StatusData(s StatusData) *Encoder {
	e.Raw("* STATUS ").Mailbox(s.Mailbox).SP().Open()
	for _, v := range s.Values {
		e.Sep().Raw(string(v.Item)).SP().Number64(v.N)
	}
	if s.MailboxID != "" {
		e.Sep().Raw("MAILBOXID (").Raw(s.MailboxID).Raw(")")
	}
	return e.Close().CRLF()
}

// A SearchData is the answer to SEARCH: of a SEARCH response All and ModSeq, of
// an ESEARCH response what RETURN asked (RFC 4731 §3.1, RFC 7162 §3.1.5).
type SearchData struct {
	Tag      string // of the command, in ESEARCH
	UID      bool   // the numbers are UIDs, in ESEARCH
	All      NumSet
	Min, Max uint32 // 0: not told
	Count    uint32
	HasCount bool
	ModSeq   uint64 // 0: not told
}

// SearchData reads what follows "SEARCH", without the end of the line.
func (d *Decoder) SearchData() SearchData {
	var s SearchData
	for d.Accept(' ') && !d.AtEnd() {
		if d.Peek() == '(' {
			d.List(func() {
				name := d.Name()
				d.SP()
				if name == ItemModSeq {
					s.ModSeq = d.Number64()
				} else {
					d.SkipValue()
				}
			})
			continue
		}
		s.All.Add(d.NonZero())
	}
	return s
}

// ESearchData reads what follows "ESEARCH", without the end of the line.
func (d *Decoder) ESearchData() SearchData {
	var s SearchData
	for d.Accept(' ') && !d.AtEnd() {
		if d.Peek() == '(' {
			d.List(func() {
				name := d.Name()
				d.SP()
				if name == "TAG" {
					s.Tag = d.AString()
				} else {
					d.SkipValue()
				}
			})
			continue
		}
		name := d.Name()
		if name == "UID" {
			s.UID = true
			continue
		}
		d.SP()
		switch name {
		case "MIN":
			s.Min = d.NonZero()
		case "MAX":
			s.Max = d.NonZero()
		case "COUNT":
			s.Count, s.HasCount = d.Number(), true
		case "ALL":
			s.All = d.NumSet()
		case ItemModSeq:
			s.ModSeq = d.Number64()
		default:
			d.SkipValue()
		}
	}
	return s
}

// ESearchData writes an ESEARCH response.
func (e *Encoder) ESearchData(s SearchData) *Encoder {
	e.Raw("* ESEARCH")
	if s.Tag != "" {
		e.Raw(" (TAG ").Raw(quote(s.Tag)).Raw(")")
	}
	if s.UID {
		e.Raw(" UID")
	}
	if s.Min != 0 {
		e.Raw(" MIN ").Number(s.Min)
	}
	if s.Max != 0 {
		e.Raw(" MAX ").Number(s.Max)
	}
	if s.HasCount {
		e.Raw(" COUNT ").Number(s.Count)
	}
	if len(s.All) > 0 {
		e.Raw(" ALL ").NumSet(s.All)
	}
	if s.ModSeq != 0 {
		e.Raw(" MODSEQ ").Number64(s.ModSeq)
	}
	return e.CRLF()
}
