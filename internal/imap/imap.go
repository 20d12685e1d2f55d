// Package imap holds the words and the codec of IMAP that the door (internal/imapd) and the connector (internal/connector/imap) share.
//
// Spoken here, as grammar; what a side does with it is the side's own affair:
//
//	RFC 9051, 3501  IMAP4rev2, IMAP4rev1     RFC 7888  LITERAL+, LITERAL-
//	RFC 7162        CONDSTORE, QRESYNC       RFC 4315  UIDPLUS
//	RFC 6851        MOVE                     RFC 3502  MULTIAPPEND
//	RFC 6154        SPECIAL-USE              RFC 5819  LIST-STATUS
//	RFC 5258        LIST-EXTENDED            RFC 4731  ESEARCH
//	RFC 5161        ENABLE                   RFC 2177  IDLE
//	RFC 2342        NAMESPACE                RFC 2971  ID
//	RFC 8474        OBJECTID                 RFC 8438  STATUS=SIZE
//	RFC 3516        BINARY (sections, literal8)
//	RFC 5530        response codes           RFC 6855  UTF8=ACCEPT
//
// # Reading
//
// A Decoder is a cursor over the stream. Its methods consume one token each and
// return the zero value once an error has occurred; the first error sticks and
// is asked for at the end, so a parser reads like the grammar:
//
//	tag := d.Tag()
//	d.SP()
//	name := d.Command()
//	d.SP()
//	mailbox := d.Mailbox()
//	d.CRLF()
//	if err := d.Err(); err != nil { … }
//
// Every set is open: an unknown command, response, response code, FETCH item
// or attribute is a string, and SkipValue or DiscardLine gets past it.
//
// # Writing
//
// An Encoder chains: e.Raw("* ").Number(3).Raw(" EXISTS").CRLF(). Nothing leaves
// before Flush, except around a synchronising literal of a client.
package imap

import "strings"

// Capability names (RFC 9051 §7.2.2 and the registry). The set is open: these
// are the ones that a side acts upon.
const (
	CapIMAP4rev1        = "IMAP4REV1"
	CapIMAP4rev2        = "IMAP4REV2"
	CapStartTLS         = "STARTTLS"
	CapLoginDisabled    = "LOGINDISABLED"
	CapSASLIR           = "SASL-IR"
	CapAuthPlain        = "AUTH=PLAIN"
	CapAuthLogin        = "AUTH=LOGIN"
	CapAuthXOAuth2      = "AUTH=XOAUTH2"
	CapLiteralPlus      = "LITERAL+"
	CapLiteralMinus     = "LITERAL-"
	CapIdle             = "IDLE"
	CapNamespace        = "NAMESPACE"
	CapID               = "ID"
	CapEnable           = "ENABLE"
	CapUIDPlus          = "UIDPLUS"
	CapMove             = "MOVE"
	CapMultiAppend      = "MULTIAPPEND"
	CapUnselect         = "UNSELECT"
	CapCondStore        = "CONDSTORE"
	CapQResync          = "QRESYNC"
	CapSpecialUse       = "SPECIAL-USE"
	CapCreateSpecialUse = "CREATE-SPECIAL-USE"
	CapListExtended     = "LIST-EXTENDED"
	CapListStatus       = "LIST-STATUS"
	CapStatusSize       = "STATUS=SIZE"
	CapESearch          = "ESEARCH"
	CapSearchRes        = "SEARCHRES"
	CapObjectID         = "OBJECTID"
	CapQuota            = "QUOTA"
	CapBinary           = "BINARY"
	CapUTF8Accept       = "UTF8=ACCEPT"
	CapAppendLimit      = "APPENDLIMIT" // also "APPENDLIMIT=n"
)

// Caps is a set of capabilities. Names are kept in upper case.
type Caps map[string]bool

// NewCaps makes a set of the names, in any case.
func NewCaps(names ...string) Caps {
	c := make(Caps, len(names))
	for _, n := range names {
		c[strings.ToUpper(n)] = true
	}
	return c
}

// Has tells whether name (in upper case) is offered. IMAP4rev2 includes what
// RFC 9051 appendix E folded into it.
func (c Caps) Has(name string) bool {
	if c[name] {
		return true
	}
	if c[CapIMAP4rev2] {
		switch name {
		case CapNamespace, CapUnselect, CapUIDPlus, CapESearch, CapSearchRes, CapEnable, CapIdle, CapSASLIR,
			CapListExtended, CapListStatus, CapMove, CapLiteralMinus, CapStatusSize, CapSpecialUse, CapBinary:
			return true
		}
	}
	// QRESYNC implies CONDSTORE (RFC 7162 §3.2.3).
	return name == CapCondStore && c[CapQResync]
}

// Value is the text after "name=" of the first capability of that form, or "".
func (c Caps) Value(name string) string {
	for k := range c {
		if v, ok := strings.CutPrefix(k, name+"="); ok {
			return v
		}
	}
	return ""
}
