package imap

// A ListCommand is the arguments of LIST, plain or extended (RFC 9051 §6.3.9, RFC 5258).
type ListCommand struct {
	Select    []string // SUBSCRIBED, REMOTE, RECURSIVEMATCH, SPECIAL-USE … in upper case
	Reference string
	Patterns  []string // UTF-8; one in the plain form
	// Extended tells that selection or return options or several patterns were
	// given, so that \Noselect and the like are to be told in their new form.
	Extended bool
	Return   []string     // SUBSCRIBED, CHILDREN, SPECIAL-USE, STATUS … in upper case
	Status   []StatusItem // of RETURN (STATUS (…)) (RFC 5819)
}

// maxPatterns bounds the patterns of one LIST.
const maxPatterns = 100

// ListCommand reads the arguments of LIST up to the end of the line.
func (d *Decoder) ListCommand() ListCommand {
	var l ListCommand
	if d.Peek() == '(' {
		l.Extended = true
		d.List(func() { l.Select = append(l.Select, d.Command()) })
		d.SP()
	}
	l.Reference = d.Mailbox()
	d.SP()
	if d.Peek() == '(' {
		l.Extended = true
		d.List(func() { l.Patterns = append(l.Patterns, d.ListPattern()) })
	} else {
		l.Patterns = []string{d.ListPattern()}
	}
	if len(l.Patterns) == 0 || len(l.Patterns) > maxPatterns {
		d.Want("one to 100 mailbox patterns")
	}
	if !d.AtEnd() {
		l.Extended = true
		d.SP()
		if d.Command() != "RETURN" {
			d.Want("RETURN")
		}
		d.SP()
		d.List(func() {
			option := d.Command()
			l.Return = append(l.Return, option)
			if option == "STATUS" {
				d.SP()
				l.Status = d.StatusItems()
			}
		})
	}
	return l
}

// ListCommand writes the arguments of LIST. STATUS is among the return options if Status is not empty.
func (e *Encoder) ListCommand(l ListCommand) *Encoder {
	if len(l.Select) > 0 {
		e.words(l.Select).Close().SP()
	}
	e.pattern(l.Reference).SP()
	if len(l.Patterns) == 1 {
		e.pattern(l.Patterns[0])
	} else {
		e.Open()
		for _, p := range l.Patterns {
			e.Sep().pattern(p)
		}
		e.Close()
	}
	if len(l.Return) == 0 && len(l.Status) == 0 {
		return e
	}
	e.Raw(" RETURN ").words(l.Return)
	if len(l.Status) > 0 {
		e.Sep().Raw("STATUS ").StatusItems(l.Status)
	}
	return e.Close()
}

// words opens a list of words.
func (e *Encoder) words(words []string) *Encoder {
	e.Open()
	for _, w := range words {
		if w != "STATUS" { // comes with its items
			e.Sep().Raw(w)
		}
	}
	return e
}

func (e *Encoder) pattern(p string) *Encoder {
	if !e.UTF8 {
		p = EncodeMailbox(p)
	}
	return e.String(p)
}

// ID reads the parameters of ID, or NIL (RFC 2971); a NIL value comes out as "".
// Only what the RFC allows to be sent is kept: 30 pairs.
func (d *Decoder) ID() []Param {
	var list []Param
	d.NList(func() {
		p := Param{Name: d.NString().Value}
		d.SP()
		p.Value = d.NString().Value
		if len(list) < 30 {
			list = append(list, p)
		}
	})
	return list
}

// ID writes the parameters of ID, NIL for none.
func (e *Encoder) ID(list []Param) *Encoder { return e.params(list) }
