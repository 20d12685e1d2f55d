package mime

// Envelope is what ENVELOPE tells of a message (RFC 9051 §7.5.2). Texts are
// unfolded and not decoded.
type Envelope struct {
	Date, Subject                      Nullable
	From, Sender, ReplyTo, To, Cc, Bcc []Address
	InReplyTo, MessageID               Nullable
}

// envelopeReader takes the fields of a header. Of a text that comes more than
// once the last counts; the addresses of all are taken together.
type envelopeReader struct{ env Envelope }

var envelopeFields = [...]string{"Date", "Subject", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "Message-ID"}

func (r *envelopeReader) read(f Field) {
	for i, name := range envelopeFields {
		if !f.Is(name) {
			continue
		}
		switch i {
		case 0:
			r.env.Date = some(dropBreaks(f.Value()))
		case 1:
			r.env.Subject = some(squeeze(f.Value()))
		case 8:
			r.env.InReplyTo = some(dropBreaks(f.Value()))
		case 9:
			r.env.MessageID = some(dropBreaks(f.Value()))
		default:
			if list := r.list(i); len(*list) < maxAddress {
				*list = append(*list, ParseAddresses(f.unfold())...)
			}
		}
		return
	}
}

func (r *envelopeReader) list(i int) *[]Address {
	return [...]*[]Address{2: &r.env.From, 3: &r.env.Sender, 4: &r.env.ReplyTo, 5: &r.env.To, 6: &r.env.Cc, 7: &r.env.Bcc}[i]
}

// finish puts From where Sender and Reply-To are missing (RFC 9051 §7.5.2).
func (r *envelopeReader) finish() *Envelope {
	if r.env.Sender == nil {
		r.env.Sender = r.env.From
	}
	if r.env.ReplyTo == nil {
		r.env.ReplyTo = r.env.From
	}
	env := r.env
	return &env
}

// ID is the message's identifier with its angle brackets, "" if there is none.
func (e *Envelope) ID() string {
	if ids := MessageIDs(e.MessageID.Text); len(ids) > 0 {
		return ids[0]
	}
	return squeeze(e.MessageID.Text)
}

// Author is the first address of From, or of Sender, in lower case; "" if there is none.
func (e *Envelope) Author() string {
	for _, list := range [][]Address{e.From, e.Sender} {
		if m := mailboxes(list); len(m) > 0 {
			return m[0]
		}
	}
	return ""
}
