package imap

// An Envelope is the parsed header of a message (RFC 9051 §7.5.2). NIL stands
// for an absent field. A nil list of addresses is NIL.
type Envelope struct {
	Date, Subject                      NString // as in the header, encoded words kept
	From, Sender, ReplyTo, To, Cc, Bcc []Address
	InReplyTo, MessageID               NString
}

// An Address is one address of an Envelope. A group begins with an Address whose
// Host is NIL and whose Mailbox is its name, and ends with one that is all NIL.
type Address struct{ Name, Route, Mailbox, Host NString }

// Envelope reads an envelope.
func (d *Decoder) Envelope() *Envelope {
	v := new(Envelope)
	d.fields(
		func() { v.Date = d.NString() },
		func() { v.Subject = d.NString() },
		func() { v.From = d.addresses() },
		func() { v.Sender = d.addresses() },
		func() { v.ReplyTo = d.addresses() },
		func() { v.To = d.addresses() },
		func() { v.Cc = d.addresses() },
		func() { v.Bcc = d.addresses() },
		func() { v.InReplyTo = d.NString() },
		func() { v.MessageID = d.NString() },
	)
	return v
}

// fields reads a list of exactly these values; further ones are passed over.
func (d *Decoder) fields(read ...func()) {
	i := 0
	d.List(func() {
		if i < len(read) {
			read[i]()
		} else {
			d.SkipValue()
		}
		i++
	})
	if i < len(read) {
		d.Want("a longer list")
	}
}

func (d *Decoder) addresses() []Address {
	var list []Address
	d.NList(func() {
		var a Address
		d.fields(
			func() { a.Name = d.NString() },
			func() { a.Route = d.NString() },
			func() { a.Mailbox = d.NString() },
			func() { a.Host = d.NString() },
		)
		list = append(list, a)
	})
	return list
}

// Envelope writes an envelope.
func (e *Encoder) Envelope(v *Envelope) *Encoder {
	e.Open()
	e.Sep().NString(v.Date)
	e.Sep().NString(v.Subject)
	for _, list := range [][]Address{v.From, v.Sender, v.ReplyTo, v.To, v.Cc, v.Bcc} {
		e.Sep().addresses(list)
	}
	e.Sep().NString(v.InReplyTo)
	e.Sep().NString(v.MessageID)
	return e.Close()
}

func (e *Encoder) addresses(list []Address) *Encoder {
	if len(list) == 0 {
		return e.Raw("NIL")
	}
	e.Raw("(")
	for _, a := range list { // no spaces between addresses (RFC 9051 §9, env-from)
		e.Raw("(").NString(a.Name).SP().NString(a.Route).SP().NString(a.Mailbox).SP().NString(a.Host).Raw(")")
	}
	e.items = true
	return e.Raw(")")
}
