package mime

import "strings"

// Address is one entry of an address list as ENVELOPE has it (RFC 9051
// §7.5.2). A group starts with an entry that has only a Mailbox, its name, and
// ends with one that has nothing.
type Address struct {
	Name    Nullable // display name with its encoded words, white space runs made one space
	Route   Nullable // "@a,@b" (RFC 5322 §4.4)
	Mailbox Nullable // local part
	Host    Nullable
}

// What stands in place of what an address lacks. Clients of Dovecot know these.
const (
	missingMailbox = "MISSING_MAILBOX"
	missingDomain  = "MISSING_DOMAIN"
	syntaxError    = "SYNTAX_ERROR"
	invalidRoute   = "INVALID_ROUTE"
)

// IsMailbox tells whether the entry is an address, not the mark of a group.
func (a Address) IsMailbox() bool { return a.Host.Set }

// Spec is local@domain as spelled; "" for the mark of a group or where a half is missing.
func (a Address) Spec() string {
	if !a.Host.Set || !a.Mailbox.Set || a.Mailbox.Text == "" || a.Host.Text == "" ||
		a.Mailbox.Text == missingMailbox || a.Host.Text == missingDomain || a.Host.Text == syntaxError {
		return ""
	}
	return a.Mailbox.Text + "@" + a.Host.Text
}

// Display is the display name decoded, "" if there is none.
func (a Address) Display() string { return squeeze(DecodeWords(a.Name.Text)) }

// ParseAddresses reads an address list tolerantly (RFC 5322 §3.4 and §4.4, RFC
// 6532): what can't be read ends the list, with an entry that says so.
func ParseAddresses(value string) []Address {
	r := addressReader{l: lexer{s: value, keep: true}}
	if r.l.skip() != more {
		return nil
	}
	for len(r.list) < maxAddress {
		if r.address() == ended || !r.l.at(',') {
			break
		}
		r.l.i++
		if st := r.l.skip(); st != more {
			if st == broken {
				r.addFixed()
			}
			break
		}
	}
	return r.list
}

type addressReader struct {
	l       lexer
	list    []Address
	a       Address
	invalid bool
	buf     []byte
}

func (r *addressReader) add() {
	r.list = append(r.list, r.a)
	r.a, r.invalid = Address{}, false
}

func (r *addressReader) addFixed() {
	if !r.a.Mailbox.Set {
		r.a.Mailbox = some(missingMailbox)
	}
	if r.a.Host.Text == "" {
		r.a.Host = some(missingDomain)
	}
	r.add()
}

func (r *addressReader) address() status {
	start := r.l.i
	if st := r.group(); st != broken {
		return st
	}
	r.l.i = start
	return r.mailbox()
}

// group reads phrase ":" [mailbox-list] ";". It is broken only if it is no group.
func (r *addressReader) group() status {
	r.buf = r.buf[:0]
	if r.l.phrase(&r.buf) != more || r.l.s[r.l.i] != ':' {
		return broken
	}
	r.l.i++
	st := r.l.skip()
	r.a.Mailbox = some(string(r.buf))
	r.add()
	if st == more && !r.l.at(';') {
		for len(r.list) < maxAddress {
			r.mailbox()
			if !r.l.at(',') {
				break
			}
			r.l.i++
			if r.l.skip() != more {
				st = broken
				break
			}
		}
	}
	if st != broken && r.l.at(';') {
		r.l.i++
		st = r.l.skip()
	} else {
		st = broken
	}
	r.add()
	if st == ended {
		return ended
	}
	return more
}

// mailbox reads [phrase] "<" addr ">" or an addr-spec.
func (r *addressReader) mailbox() status {
	start := r.l.i
	st := r.nameAddr()
	if st == broken {
		r.l.i = start
		st = r.addrSpec()
		if r.invalid && !r.a.Name.Set && r.a.Mailbox.Set && !r.a.Host.Set {
			r.a.Name, r.a.Mailbox = nameOf(r.a.Mailbox.Text), Nullable{}
		}
	}
	r.addFixed()
	return st
}

func nameOf(s string) Nullable { return some(squeeze(s)) }

func (r *addressReader) nameAddr() status {
	r.buf = r.buf[:0]
	if r.l.phrase(&r.buf) != more || r.l.s[r.l.i] != '<' {
		return broken
	}
	if len(r.buf) > 0 {
		r.a.Name = nameOf(string(r.buf))
	}
	if r.angle() == broken {
		r.a.Host = some(syntaxError)
	}
	return r.l.state()
}

// angle reads "<" [route ":"] addr-spec ">".
func (r *addressReader) angle() status {
	r.l.i++
	if r.l.skip() != more {
		return broken
	}
	if r.l.at('@') {
		if r.route() == more && r.l.at(':') {
			r.l.i++
		} else {
			r.a.Route = some(invalidRoute)
			if r.l.state() != more {
				return broken
			}
		}
		if r.l.skip() != more {
			return broken
		}
	}
	if !r.l.at('>') {
		if r.localPart() != more {
			return broken
		}
		if r.l.at('@') && r.host() != more {
			return broken
		}
	}
	if !r.l.at('>') {
		return broken
	}
	r.l.i++
	return r.l.skip()
}

func (r *addressReader) route() status {
	r.buf = r.buf[:0]
	for {
		if r.l.state() != more {
			return ended
		}
		if !r.l.at('@') {
			break
		}
		if len(r.buf) > 0 {
			r.buf = append(r.buf, ',')
		}
		r.buf = append(r.buf, '@')
		if st := r.l.domain(&r.buf); st != more {
			return st
		}
		for r.l.skip() == more && r.l.at(',') {
			r.l.i++
		}
	}
	r.a.Route = some(string(r.buf))
	return more
}

func (r *addressReader) localPart() status {
	r.buf = r.buf[:0]
	var st status
	if r.l.at('"') {
		st = r.l.quoted(&r.buf)
	} else {
		st = r.l.localAtoms(&r.buf)
	}
	if st != broken {
		r.a.Mailbox = some(string(r.buf))
	}
	return st
}

func (r *addressReader) host() status {
	r.buf = r.buf[:0]
	st := r.l.domain(&r.buf)
	if st != broken {
		r.a.Host = some(string(r.buf))
	}
	return st
}

// addrSpec reads local-part "@" domain; a comment in it is the display name (RFC 822 §A.1).
func (r *addressReader) addrSpec() status {
	r.l.comment = r.l.comment[:0]
	isQuoted := r.l.at('"')
	st := r.localPart()
	if st != more {
		r.invalid = true
	}
	hasHost := false
	if st != ended && r.l.at('@') {
		hasHost = true
		if h := r.host(); h != more {
			st = h
		}
	}
	if len(r.l.comment) > 0 {
		r.a.Name = nameOf(string(r.l.comment))
	} else if !hasHost {
		// A word alone is a mailbox; with more words after it, it was a name.
		r.buf = append(r.buf, ' ')
		n := len(r.buf)
		r.l.phrase(&r.buf)
		if len(r.buf) != n {
			r.a.Mailbox, r.a.Name = Nullable{}, nameOf(string(r.buf))
		} else if !isQuoted {
			r.a.Host = some("")
		}
		r.invalid = true
		st = broken
	}
	return st
}

// mailboxes are the addresses of a list without the marks of groups.
func mailboxes(list []Address) []string {
	var out []string
	for _, a := range list {
		if s := a.Spec(); s != "" {
			out = append(out, strings.ToLower(s))
		}
	}
	return out
}
